"""A bot's token is where that bot needs it and nowhere else: looks into every process and every file."""

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fleet import Fleet, new_fleet
from tests.fixtures.sandbox import running_sandbox
from tests.ports import free_port

NAMES = ("shop", "support")
#: The part of a token that is secret.
KEYS = {"shop": "AA" + "shopskey" * 5, "support": "AA" + "supportkey" * 4}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory) -> Iterator[Fleet]:
    """Two bots that log all they can, under a master that does; tokens come from its environment."""
    with (
        running_sandbox() as sandbox,
        new_fleet(
            tmp_path_factory.mktemp("fleet"),
            sandbox,
            log={"level": "debug"},
            api={"port": free_port()},
        ) as fleet,
    ):
        for name in NAMES:
            variable = f"{name.upper()}_TOKEN"
            bot = fleet.add(name, token=f"${{{variable}}}", args=["talkative"])
            fleet.environ[variable] = f"{bot.telegram_id}:{KEYS[name]}"
        fleet.start_and_wait()
        for name in NAMES:
            bot = fleet.bots[name]
            bot.send("betray")
            fleet.letters(name, count=1)
            assert bot.ask("hello") == "hello"
        yield fleet


def test_no_command_line_and_no_environment_of_a_process_holds_a_token(talkative):
    pids = talkative.children()
    assert {talkative.zygote_pid(), *(talkative.pid(name) for name in NAMES)} <= set(pids)
    for pid in pids:
        for place in ("cmdline", "environ", "comm", "stat", "maps"):
            content = Path(f"/proc/{pid}/{place}").read_bytes()
            assert not [name for name in NAMES if KEYS[name].encode() in content], (pid, place)


def memory_holds(pid: int, secret: bytes) -> bool:
    """Tell whether any mapping of a process that can be written holds ``secret``."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, rights, *_ = line.split()
            if "rw" not in rights:
                continue
            start, end = (int(each, 16) for each in addresses.split("-"))
            memory.seek(start)
            try:
                if secret in memory.read(end - start):
                    return True
            except OSError:  # a mapping without memory behind it
                continue
    return False


def test_no_process_holds_a_token_in_its_memory_but_its_bots(talkative):
    zygote, workers = talkative.zygote_pid(), {name: talkative.pid(name) for name in NAMES}
    for name in NAMES:
        secret = KEYS[name].encode()
        assert memory_holds(workers[name], secret), "the search finds what is there"
        assert not memory_holds(zygote, secret)
        assert not [other for other in NAMES if other != name and memory_holds(workers[other], secret)]


def test_a_bots_environment_lacks_the_others_tokens(talkative):
    assert talkative.bots["shop"].ask("environment SUPPORT_TOKEN") == "not set"
    assert talkative.bots["shop"].ask("environment SHOP_TOKEN") == "not set"
    assert talkative.bots["shop"].ask("environment HOME") == os.environ["HOME"]


def test_nothing_that_can_be_asked_of_the_master_holds_a_token(talkative):
    port = talkative.sections["api"]["port"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    said = [
        opener.open(f"http://127.0.0.1:{port}{path}", timeout=20).read().decode()
        for path in ("/api/workers/status", "/health", "/metrics")
    ]
    said += [
        (done := talkative.run(*command)).stdout + done.stderr
        for command in (
            ["status"],
            ["check"],
            ["dead-letters", "list", "--json"],
            ["logs", "shop", "-n", "500"],
        )
    ]
    for letter in talkative.letters("shop"):
        said += [letter.detail, letter.traceback, letter.body]
    assert "getMe failed" in "".join(said)
    assert not [text for text in said for name in NAMES if KEYS[name] in text]


def test_no_file_holds_a_token_and_state_is_the_owners_alone(talkative):
    """The last one here: also what stays after the end."""
    assert "my token is" in talkative.log("shop")
    assert "HTTP Request: POST" in talkative.log("shop"), "httpx logs addresses, which hold the token"
    assert "sendMessage" in talkative.log("shop")
    for end in (lambda: None, lambda: talkative.stop()):
        end()
        files = [path for path in talkative.folder.rglob("*") if path.is_file()]
        assert {"brama.db", "master.log", "worker_shop.log"} <= {path.name for path in files}
        for path in files:
            content = path.read_bytes()
            assert not [name for name in NAMES if KEYS[name].encode() in content], path
        assert talkative.state_dir.stat().st_mode & 0o777 == 0o700
        for path in talkative.state_dir.iterdir():
            assert path.stat().st_mode & 0o777 == 0o600, path
