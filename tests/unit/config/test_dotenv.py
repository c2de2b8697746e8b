"""Files of NAME=value lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.config.dotenv import DotenvError, parse_dotenv, read_dotenv
from brama.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("\n# nothing\n   \n", {}),
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("export A = 1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=b # comment", {"A": "b"}),
        ("A=b#c", {"A": "b#c"}),
        ("A=#c", {"A": ""}),
        ("A=a=b", {"A": "a=b"}),
        ("A='a # \\n b'", {"A": "a # \\n b"}),
        ('A="a\\nb\\"c\\\\"  # comment', {"A": 'a\nb"c\\'}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=${B}", {"A": "${B}"}),
    ],
)
def test_lines(text: str, variables: dict[str, str]):
    assert parse_dotenv(text) == variables


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("A=1\nsecret", "line 2 is not NAME=value"),
        ("1A=1", "line 1 is not NAME=value"),
        ('A="open', "line 1: a quote without its end"),
        ('A="x" y', "line 1: a quote without its end, or text after it"),
        ('A="two\nlines"\n\n=x', "line 4 is not NAME=value"),
        ("A=a\0b", "line 1: the value of A holds a NUL character"),
    ],
)
def test_wrong_lines_are_named_without_their_value(text: str, complaint: str):
    with pytest.raises(ConfigError) as caught:
        parse_dotenv(text)
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_lines_beside_a_wrong_one_count():
    with pytest.raises(DotenvError) as caught:
        parse_dotenv('A=1\nwrong\nB=\'open\nC="two\nlines" x\nD=4\n=x')
    assert caught.value.variables == {"A": "1", "D": "4"}
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "line 2 is not NAME=value",
        "line 3",
        "line 4",
        "line 7 is not NAME=value",
    ]


def test_files_that_are_none(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        read_dotenv(tmp_path / "missing")
    (tmp_path / "latin").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_dotenv(tmp_path / "latin")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfA=1")
    assert read_dotenv(tmp_path / "bom") == {"A": "1"}
    (tmp_path / "large").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_dotenv(tmp_path / "large")


@given(st.text(max_size=60))
def test_any_text_ends_in_variables_or_one_line(text: str):
    complaint = ""
    try:
        parse_dotenv(text)
    except ConfigError as error:
        complaint = str(error)
    assert not complaint or complaint.startswith("line ")
