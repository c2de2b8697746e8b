"""YAML that means something else than it says is an error, never a silent surprise."""

import pytest
import yaml

from brama.config.report import Report
from brama.config.substitution import Variables
from brama.config.yaml_tree import TreeBuilder
from brama.errors import ConfigError


def build(text: str) -> tuple[dict, list[str]]:
    report = Report("f")
    tree = TreeBuilder(report, Variables({"V": "12:34"}, "x")).build(text)
    return tree, report.texts


@pytest.mark.parametrize(
    ("scalar", "advice"),
    [
        ("on", 'on is not plain; write true, or "on" if text is meant'),
        ("No", 'No is not plain; write false, or "No" if text is meant'),
        ("yes", "write true"),
        ("OFF", "write false"),
        ("001", 'write "001" in quotes'),
        ("0x1F", 'write "0x1F" in quotes'),
        ("0b1", 'write "0b1" in quotes'),
        ("0o17", 'write "0o17" in quotes'),
        ("12:34", 'write "12:34" in quotes'),
        ("190:20:30.5", 'write "190:20:30.5" in quotes'),
        ("1_000", 'write "1_000" in quotes'),
        ("1e3", 'write "1e3" in quotes'),
        (".5", 'write ".5" in quotes'),
        (".inf", 'write ".inf" in quotes'),
        (".nan", 'write ".nan" in quotes'),
        ("=", 'write "=" in quotes'),
        ("9" * 30, "in quotes"),
        ("!!python/object:os.system x", "write"),
        ("!mine x", "write"),
    ],
)
def test_a_scalar_with_two_readings_asks_for_quotes(scalar: str, advice: str):
    tree, problems = build(f"a: 1\nkey: {scalar}\n")
    assert tree == {"a": 1}
    assert len(problems) == 1
    assert problems[0].startswith("f:2: key: ")
    assert advice in problems[0]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("~", None),
        ("", None),
        ("null", None),
        ("shop", "shop"),
        ("n", "n"),
        ("2026-01-01", "2026-01-01"),
        ("'on'", "on"),
        ('"001"', "001"),
        ("12:34x", "12:34x"),
        ("${V}", "12:34"),
        ("[1, [a]]", [1, ["a"]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("|-\n  two\n  lines", "two\nlines"),
    ],
)
def test_plain_scalars(scalar: str, value: object):
    assert build(f"key: {scalar}\n") == ({"key": value}, [])


def test_secrets_are_not_shown():
    _, problems = build("api:\n  token: 123456:59\n")
    assert problems == [
        "f:2: api.token: this value without quotes is read in different ways; put it in quotes"
    ]


def test_environment_and_arguments_of_bots_are_as_written():
    tree, problems = build("bots: [{env: {A: on, B: 012, C: 1.10, 8: 2:30}, args: [1e3, yes, 0x1]}]")
    assert not problems
    bot = tree["bots"][0]
    assert bot == {"env": {"A": "on", "B": "012", "C": "1.10", "8": "2:30"}, "args": ["1e3", "yes", "0x1"]}


def test_duplicate_keys_name_both_lines():
    tree, problems = build("mode: a\nx: {b: 1}\nmode: c\n")
    assert tree["mode"] == "a"
    assert problems == ["f:3: mode: is written twice, first in line 1; keep one"]


@pytest.mark.parametrize("key", ["1", "on", "null", "2026-01-01"])
def test_keys_are_text(key: str):
    _, problems = build(f"settings: {{{key}: x}}")
    assert len(problems) == 1
    assert f'"{key}"' in problems[0]


def test_a_list_as_a_key():
    assert build("? [a]\n: 1\n")[1] == ["f:1: a key must be text, not a list or mapping"]


def test_anchors_merge_and_own_keys_win():
    text = """\
x-base: &base {token_env: T, env: {A: on}, limits: {memory: 1MB}}
bots:
- {<<: *base, id: a}
- {id: b, <<: [*base, {token_env: U, mode: polling}], limits: {memory: 2MB}}
"""
    tree, problems = build(text)
    assert not problems
    assert tree == {
        "bots": [
            {"id": "a", "token_env": "T", "env": {"A": "on"}, "limits": {"memory": "1MB"}},
            {"id": "b", "token_env": "T", "env": {"A": "on"}, "limits": {"memory": "2MB"}, "mode": "polling"},
        ]
    }


def test_merging_a_scalar_is_refused():
    assert build("bots: [{<<: 5, id: a}]")[1] == ["f:1: bots[0]: << takes a mapping"]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "a: &a {<<: *a}\n"])
def test_what_refers_to_itself_ends(text: str):
    _, problems = build(text)
    assert "refers to itself" in problems[0]


def test_aliases_that_multiply_end():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    _, problems = build("\n".join(lines))
    assert "refers to itself" in problems[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "f: is empty; write for example: bots: []"),
        ("# nothing\n", "f: is empty"),
        ("- a\n", "f: must be a mapping of keys such as mode: and bots:"),
        ("text", "f: must be a mapping"),
        ("a: 1\nb: [1,\n", "is not YAML"),
        ("a:\n\t- b\n", "f:2: is not YAML"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        ("a: *nowhere\n", "f:1: is not YAML"),
        ("a: b: c\n", "f:1: is not YAML"),
        ("a: \x01\n", "is not YAML"),
    ],
)
def test_no_yaml_at_all_is_one_line(text: str, complaint: str):
    with pytest.raises(ConfigError) as caught:
        build(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opener", ["[", "{a: [", "- ", "\n - "])
def test_bottomless_nesting_is_refused(opener: str):
    with pytest.raises(ConfigError, match=r"nested too deeply|not YAML"):
        build("a:\n " + opener * 200_000)


def test_deep_nesting_is_refused():
    assert "nested too deeply" in build("a: " + "[" * 60 + "]" * 60)[1][0]


def test_the_c_parser_is_there():
    """Without libyaml a large fleet's file takes seconds."""
    assert yaml.__with_libyaml__
