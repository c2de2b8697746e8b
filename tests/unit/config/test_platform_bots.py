"""The platform's answer beside the file: what becomes of it, and what is said of a wrong one."""

import copy
from typing import Any

import pytest

from brama.config.platform_bots import with_platform_bots
from brama.config.settings import Settings
from brama.errors import ConfigError
from tests.unit.config.project import Project, made_up_token

FILE = "bots: [{id: shop, token: '${SHOP_BOT_TOKEN}', script: bots/shop.py}]"


def entry(number: int, **keys: Any) -> dict[str, Any]:
    return {"id": f"p{number}", "token": made_up_token(number), "script": "bots/shop.py", **keys}


def answer(*entries: Any) -> dict[str, Any]:
    return {"bots": list(entries)}


def faults(settings: Settings, content: Any) -> list[str]:
    """Return what is said of an answer that is refused; judging it twice says the same."""
    before = copy.deepcopy(content)
    with pytest.raises(ConfigError) as caught:
        with_platform_bots(settings, content, {})
    assert content == before
    return str(caught.value).replace(f"{settings.project_root}/", "").splitlines()


def test_the_platforms_bots_follow_those_of_the_file(project: Project):
    project.write("customers/ben/ben.env", "A=file\nB=file\n")
    project.write("secrets/p5", made_up_token(5))
    settings = project.load(FILE)
    full = entry(
        4,
        args=["--port", 8080, True],
        cwd="customers/ben",
        env={"B": "${HOME}", "PORT": 8080, "DEBUG": False, "RATE": 0.5},
        env_file="customers/ben/ben.env",
        token_env="BOT_TOKEN",
        settings={"greeting": "hello ${NAME}", "list": [1, {"x": 1.5}], "none": None},
        mode="polling",
        enabled=True,
        limits={"memory": "99MB", "worker_timeout": "3m"},
        restart={"budget": 9, "cooldown": "0s"},
        allowed_updates=["message"],
        idle_timeout="30m",
        app=None,
    )
    by_file = {"id": "p5", "token_file": "secrets/p5", "app": "bots.shop:build"}
    idle = {"id": "p6", "enabled": False}
    together, warnings = with_platform_bots(settings, answer(full, by_file, idle), {})
    assert warnings == []
    assert together == settings.model_copy(update={"bots": together.bots})
    assert [(bot.id, bot.origin) for bot in together.bots] == [
        ("shop", "file"),
        ("p4", "platform"),
        ("p5", "platform"),
        ("p6", "platform"),
    ]
    first = together.bot("p4")
    assert first is not None
    assert (first.telegram_id, first.token.get_secret_value()) == (1004, made_up_token(4))
    assert (first.script, first.cwd) == (project.root / "bots/shop.py", project.root / "customers/ben")
    assert first.args == ("--port", "8080", "true")
    assert first.env == {"A": "file", "B": "${HOME}", "PORT": "8080", "DEBUG": "false", "RATE": "0.5"}
    assert first.settings == {"greeting": "hello ${NAME}", "list": [1, {"x": 1.5}], "none": None}
    assert (first.limits.memory, first.limits.worker_timeout) == (99 * 2**20, 180)
    assert (first.restart.budget, first.restart.cooldown, first.idle_timeout) == (9, 0, 1800)
    assert (first.allowed_updates, first.token_env, first.mode) == (("message",), "BOT_TOKEN", "polling")
    second, third = together.bots[2:]
    assert (second.telegram_id, second.entry, second.cwd) == (1005, "bots.shop:build", project.root)
    assert (third.enabled, third.telegram_id) == (False, 0)


def test_the_next_answer_replaces_the_last_one(project: Project):
    settings = project.load(FILE)
    first, _ = with_platform_bots(settings, answer(entry(4), entry(5)), {})
    second, _ = with_platform_bots(first, answer(entry(5), entry(6)), {})
    assert [bot.id for bot in second.bots] == ["shop", "p5", "p6"]
    assert with_platform_bots(second, answer(), {}) == (settings, [])


def test_the_file_wins(project: Project):
    project.write("secrets/again", made_up_token(2), 0o644)
    settings = project.load(f"{FILE[:-1]}, {{id: two, token: '{made_up_token(2)}', script: bots/shop.py}}]")
    content = answer(
        {"id": "shop", "token": made_up_token(7), "script": "no/such.py"},
        entry(1, id="other", script="no/such.py"),
        {"id": "third", "token_file": "secrets/again", "script": "bots/shop.py"},
        entry(8),
    )
    together, warnings = with_platform_bots(settings, content, {})
    assert [bot.id for bot in together.bots] == ["shop", "two", "p8"]
    assert together.bots[0] == settings.bots[0]
    by_id, by_token, by_file, open_file = [line.replace(f"{project.root}/", "") for line in warnings]
    assert by_id == (
        'bots_source: bots[0]: "shop" is left out: config/brama.yaml has a bot of this id, which wins'
    )
    same = 'the same bot of Telegram (1001) as "shop" of config/brama.yaml, which wins'
    assert by_token == f'bots_source: bots[1]: "other" is left out: it is {same}'
    same = 'the same bot of Telegram (1002) as "two" of config/brama.yaml, which wins'
    assert by_file == f'bots_source: bots[2]: "third" is left out: it is {same}'
    assert open_file.startswith("secrets/again holds secrets and every user of this machine can read it")
    assert "testtoken" not in "\n".join(warnings)


def test_a_disabled_bot_of_the_file_keeps_the_platforms_out(project: Project):
    settings = project.load("bots: [{id: p4, enabled: false}, {id: p5, enabled: false}]")
    together, warnings = with_platform_bots(settings, answer(entry(4), entry(6)), {})
    assert [(bot.id, bot.enabled) for bot in together.bots] == [("p4", False), ("p5", False), ("p6", True)]
    assert len(warnings) == 1


def test_no_bot_gets_the_token_of_another_from_the_environment(project: Project):
    settings = project.load("state_dir: ${FOLDER:-state}\nbots: []")
    environ = {"COPY": made_up_token(4), "OTHER": made_up_token(9), "FOLDER": "x"}
    together, _ = with_platform_bots(settings, answer(entry(4), entry(5)), environ)
    assert [bot.withheld for bot in together.bots] == [frozenset({"COPY", "FOLDER"})] * 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, 'bots_source: must be {"bots": [...]}, not null'),
        ([], 'bots_source: must be {"bots": [...]}, not a list'),
        ({}, 'bots_source: bots: is missing; write {"bots": []} if there are none'),
        ({"bots": None}, 'bots_source: bots: is missing; write {"bots": []} if there are none'),
        ({"bots": {"shop": {}}}, "bots_source: bots: must be a list of bots, not a mapping"),
        ({"bots": [], "next": 2}, "bots_source: next: is not known; known here: bots"),
        (answer("shop"), 'bots_source: bots[0]: must be a mapping that starts with id:, not "shop"'),
        (
            answer(entry(4), {"token": made_up_token(5), "script": "bots/shop.py"}),
            "bots_source: bots[1].id: is missing; write id: NAME",
        ),
        (answer(entry(4, id=12)), 'bots_source: bots[0].id: 12 is a number; write it in quotes: "12"'),
        (answer(entry(4, id="a/b")), 'bots_source: bots[0].id: "a/b" is no id; it must be'),
        (answer(entry(4, id="zygote")), 'bots_source: bots[0].id: "zygote" is the supervisor\'s own name'),
        (answer(entry(4, token=5)), "bots_source: bots[0].token: is not text (not shown here)"),
        (answer(entry(4, token="hush")), "bots_source: bots[0].token: is not a bot token (not shown here)"),
        (answer(entry(4, token="${T}")), "bots_source: bots[0].token: is not a bot token (not shown here)"),
        (answer(entry(4, token=None)), "bots_source: bots[0].token: is missing; give the bot its token"),
        (answer(entry(4, script="no.py")), "bots_source: bots[0].script: no.py does not exist"),
        (answer(entry(4, script=None)), "bots_source: bots[0]: neither script nor app says what to run"),
        (answer(entry(4, app="a:b")), "bots_source: bots[0].app: stands beside script; keep one"),
        (answer(entry(4, scirpt="x")), "bots_source: bots[0].scirpt: is not known; did you mean script?"),
        (answer(entry(4, origin="file")), "bots_source: bots[0].origin: is not known"),
        (answer(entry(4, limits={"memory": 5})), "bots_source: bots[0].limits.memory: 5 has no unit"),
        (answer(entry(4, env={"A": ["hush"]})), "bots_source: bots[0].env: A must be text, not a list"),
        (answer(entry(4, env={"A": None})), 'bots_source: bots[0].env: A has no value; write A: ""'),
        (answer(entry(4, args="-v")), "bots_source: bots[0].args: must be a list"),
        (answer(entry(4, enabled=1)), "bots_source: bots[0].enabled: 1 is neither true nor false"),
        (
            answer(entry(4, settings={"a": 2**63})),
            "bots_source: bots[0]: holds a number of more than 64 bits",
        ),
    ],
)
def test_a_wrong_answer_is_refused_in_one_line(project: Project, content: Any, line: str):
    (said,) = faults(project.load(FILE), content)
    assert said.startswith(line)
    assert "hush" not in said


def test_all_that_is_wrong_is_said_at_once(project: Project):
    content = answer(
        entry(4),
        entry(5, id="p4"),
        entry(4, id="b"),
        entry(5, id="c", script="no.py", limits={"memory": "x"}),
    )
    lines = faults(project.load(FILE), content)
    assert [line.split(": ")[1] for line in lines] == [
        "bots[1].id",
        "bots[2].token",
        "bots[3].limits.memory",
        "bots[3].token",
        "bots[3].script",
    ]
    assert made_up_token(4) not in "\n".join(lines)


def test_bottomless_settings_are_refused(project: Project):
    settings: dict[str, Any] = {}
    inner = settings
    for _ in range(100):
        inner["a"] = inner = {}
    (line,) = faults(project.load(FILE), answer(entry(4, settings=settings)))
    assert line == "bots_source: bots[0]: is nested too deeply"


def test_a_webhook_that_the_file_does_not_set_up(project: Project):
    (host, secret) = faults(project.load(FILE), answer(entry(4), entry(5, mode="webhook")))
    assert host == (
        "bots_source: bots[1].mode: webhook cannot work: config/brama.yaml: webhook.host: is missing, and "
        '"p5" is in mode webhook; write https://bots.example.com, or set WEBHOOK_HOST'
    )
    assert "config/brama.yaml: webhook.secret: is missing" in secret
    prepared = project.load(FILE + "\nwebhook: {host: bots.example.com, secret: 0123456789abcdefX}")
    together, _ = with_platform_bots(prepared, answer(entry(5, mode="webhook")), {})
    assert together.bots[1].mode == "webhook"


def test_the_fleets_mode_is_that_of_the_platforms_bots(project: Project):
    webhook = "mode: webhook\nwebhook: {host: bots.example.com, secret: 0123456789abcdefX}\n"
    together, _ = with_platform_bots(project.load(webhook + FILE), answer(entry(5)), {})
    assert {bot.mode for bot in together.bots} == {"webhook"}


def test_each_bot_has_a_uid(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("brama.config.loading.effective_uid", lambda: 0)
    settings = project.load(FILE + "\nisolation: {uids: 20000-20001}")
    together, _ = with_platform_bots(settings, answer(entry(4)), {})
    assert len(together.bots) == 2
    (line,) = faults(settings, answer(entry(4), entry(5)))
    said = "isolation.uids has 2 uids for 3 bots; write for example 20000-20002 in config/brama.yaml"
    assert line == f"bots_source: {said}"
