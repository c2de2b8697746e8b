"""An operator's day: the installed command, real bots, the sandbox for Telegram."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from brama.exit_codes import ExitCode
from tests.fixtures.sandbox import RunningSandbox, running_sandbox
from tests.ports import free_port
from tests.terminals import Terminal
from tests.waiting import wait_until

COMMAND = str(Path(sys.executable).with_name("brama-supervisor"))
PERSON = 7
NUMBERS = {"shop": 2001, "support": 2002}

ECHO = """
import os
from telegram.ext import Application, MessageHandler, filters

async def echo(update, context):
    print("handling an update")
    await update.message.reply_text("{prefix}" + update.message.text)

application = Application.builder().token(os.environ["BOT_TOKEN"]).build()
application.add_handler(MessageHandler(filters.TEXT, echo))
application.run_polling()
"""


class Operator:
    """Somebody with a shell and two bots."""

    def __init__(self, root: Path, sandbox: RunningSandbox) -> None:
        self.root = root
        self.sandbox = sandbox
        self.config = root / "config" / "brama.yaml"
        self.api_port = free_port()
        self.config.parent.mkdir()
        (root / "bots").mkdir()
        for name in NUMBERS:
            self.write_bot(name)
        self.configure()
        self._read: dict[str, int] = {}

    def write_bot(self, name: str, prefix: str = "") -> None:
        (self.root / "bots" / f"{name}.py").write_text(ECHO.replace("{prefix}", prefix))

    def configure(self, extra: str = "", bots: str | None = None) -> None:
        listed = "".join(
            f"  - {{id: {name}, token: '{self.sandbox.token(number)}', token_env: BOT_TOKEN, "
            f"script: bots/{name}.py}}\n"
            for name, number in NUMBERS.items()
        )
        self.config.write_text(
            f"telegram: {{base_url: '{self.sandbox.base_url}'}}\napi: {{port: {self.api_port}}}\n"
            f"stop: {{timeout: 20s}}\n{extra}bots:\n{listed if bots is None else bots}"
        )
        self.config.chmod(0o600)

    def run(self, *arguments: str, timeout_s: float = 100.0) -> subprocess.CompletedProcess[str]:
        """Type a command, in another folder than the project's."""
        return subprocess.run(
            [COMMAND, *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd="/",
            check=False,
        )

    def do(self, *arguments: str) -> str:
        """Type a command that must succeed; return what it prints."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def bots(self) -> dict[str, dict[str, Any]]:
        done = self.run("status", "--json")
        assert done.returncode in (0, 1), done.stderr
        return {worker["bot_id"]: worker for worker in json.loads(done.stdout)["workers"]}

    def write(self, name: str, text: str) -> None:
        self.sandbox.control.send_messages(NUMBERS[name], PERSON, text)

    def hear(self, name: str) -> str:
        """Return what the bot answers next."""
        number, after = NUMBERS[name], self._read.get(name, 0)
        while True:
            calls = self.sandbox.control.sent(number, after=after, wait_s=30, method="sendMessage")
            assert calls, f"{name} does not answer"
            self._read[name] = calls[0].index
            return str(calls[0].params["text"])

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.run("stop").returncode != 0:
            for process in psutil.process_iter():
                if _is_about(process, str(self.config)):
                    process.kill()


def _is_about(process: psutil.Process, text: str) -> bool:
    try:
        return text in process.cmdline()
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def telegram() -> Iterator[RunningSandbox]:
    with running_sandbox() as running:
        yield running


@pytest.fixture
def operator(tmp_path, telegram, monkeypatch) -> Iterator[Operator]:
    for name in [name for name in os.environ if name.startswith("BRAMA_") and name != "BRAMA_TEST_RUN"]:
        monkeypatch.delenv(name)
    telegram.control.reset()
    operator = Operator(tmp_path, telegram)
    yield operator
    operator.end()


def test_a_day_with_a_daemon(operator):
    said = operator.do("start", "--daemon")
    started = re.fullmatch(r"started as pid (\d+), 2 of 2 bots running; see (.*)\n", said)
    assert started, said
    assert started[2] == f"brama-supervisor status --config {operator.config}"
    master = psutil.Process(int(started[1]))
    assert master.terminal() is None
    operator.write("shop", "hello")
    assert operator.hear("shop") == "hello"

    # Another start finds the first.
    again = operator.run("start", "--daemon")
    assert (again.returncode, again.stdout) == (ExitCode.FAILED, "")
    assert str(operator.config) in again.stderr
    assert again.stderr.count("\n") == 1

    # New code is taken up by a restart of that bot alone.
    before = operator.bots()
    operator.write_bot("shop", prefix="new: ")
    assert re.fullmatch(r"shop: RUNNING \(pid \d+\)\n", operator.do("restart", "shop"))
    operator.write("shop", "hello")
    assert operator.hear("shop") == "new: hello"
    after = operator.bots()
    assert after["shop"]["pid"] != before["shop"]["pid"]
    assert after["support"]["pid"] == before["support"]["pid"]

    # A stopped bot stays stopped over a restart of everything; what waits for it is not lost.
    assert operator.do("stop", "support") == "support: STOPPED\n"
    said = operator.do("restart", "--cold")
    stopped, restarted = said.splitlines()
    assert stopped == f"stopped (pid {master.pid})"
    assert re.match(r"started as pid \d+, 1 of 1 bot running; see ", restarted)
    bots = operator.bots()
    assert (bots["support"]["state"], bots["support"]["wanted"]) == ("STOPPED", "STOPPED")
    assert operator.run("status").returncode == 0
    operator.write("support", "is anybody there?")
    assert re.fullmatch(r"support: RUNNING \(pid \d+\)\n", operator.do("start", "support"))
    assert operator.hear("support") == "is anybody there?"

    assert "master.started" in operator.do("logs", "master")
    assert "handling an update" in operator.do("logs", "support", "-n", "5")
    assert operator.do("dead-letters", "list") == "no dead letters\n"

    assert re.fullmatch(r"stopped \(pid \d+\)\n", operator.do("stop"))
    status = operator.run("status")
    assert (status.returncode, status.stdout) == (ExitCode.NO_MASTER, "")
    assert not [process for process in psutil.process_iter() if _is_about(process, str(operator.config))]
    assert not (operator.root / "state" / "brama.sock").exists()


def test_a_foreground_master_prints_lines_and_obeys_ctrl_c(operator):
    master = subprocess.Popen(
        [COMMAND, "start", "--config", str(operator.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: operator.run("status").returncode == 0, timeout_s=60, what="all bots run")
        operator.write("shop", "hello")
        assert operator.hear("shop") == "hello"
        master.send_signal(signal.SIGINT)
        out, err = master.communicate(timeout=60)
    finally:
        master.kill()
        master.communicate()
    assert (master.returncode, err) == (0, "")
    assert re.search(r"^\d\d:\d\d:\d\d info +master\.started ", out, re.MULTILINE)
    assert "master.stopped" in out.splitlines()[-1]
    assert operator.sandbox.token(NUMBERS["shop"]) not in out


def test_a_foreground_master_on_a_terminal_shows_a_table(operator):
    with Terminal([COMMAND, "start", "--config", str(operator.config)]) as terminal:
        wait_until(lambda: terminal.shows("shop", "support", "2 running", "Ctrl-C"), timeout_s=60)
        terminal.interrupt()
        wait_until(terminal.has_ended, timeout_s=60)
        assert terminal.process.returncode == 0
        assert "\x1b[?1049l" in terminal.text()
        assert "Traceback" not in terminal.text()
        assert terminal.text().rstrip().endswith("stopped")


def test_a_bot_in_trouble_is_told_at_the_start_and_in_status(operator):
    (operator.root / "bots" / "support.py").write_text("import no_such_library\n")
    done = operator.run("start", "--daemon")
    assert done.returncode == 0
    assert ", 1 of 2 bots running; see " in done.stdout
    assert done.stderr.startswith("support: FATAL: ")
    assert "no_such_library" in done.stderr
    status = operator.run("status")
    assert status.returncode == ExitCode.FAILED
    (line,) = [line for line in status.stdout.splitlines() if line.startswith("support")]
    assert "FATAL" in line
    assert "no_such_library" in line

    again = operator.run("restart", "support")
    assert again.returncode == ExitCode.FAILED
    assert again.stdout.startswith("support: FATAL: ")
    operator.write_bot("support")
    assert operator.do("start", "support").startswith("support: RUNNING")
    assert operator.run("status").returncode == 0


@pytest.mark.parametrize("how", [["start"], ["start", "--daemon"], ["start", "--dry-run"], ["check"]])
def test_a_wrong_configuration_is_reported_whole_and_starts_nothing(operator, how):
    operator.configure(extra="limits: {worker_timeout: soon}\nnonsense: 1\n")
    done = operator.run(*how)
    assert (done.returncode, done.stdout) == (ExitCode.CONFIG, "")
    assert "limits.worker_timeout" in done.stderr
    assert "nonsense" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert not (operator.root / "state").exists()


def test_a_restart_with_a_wrong_configuration_stops_nothing(operator):
    operator.do("start", "--daemon")
    before = operator.bots()
    operator.configure(extra="nonsense: 1\n")
    assert operator.run("restart").returncode == ExitCode.CONFIG
    assert {name: bot["pid"] for name, bot in operator.bots().items()} == {
        name: bot["pid"] for name, bot in before.items()
    }


@pytest.mark.parametrize("how", [["start"], ["start", "--daemon"]])
def test_an_occupied_port_is_one_line_before_any_bot_starts(operator, how):
    with socket.socket() as other:
        other.bind(("127.0.0.1", operator.api_port))
        other.listen()
        done = operator.run(*how)
    assert done.returncode == ExitCode.FAILED
    (line,) = [line for line in done.stderr.splitlines() if "api.port" in line]
    assert line.startswith(f"brama-supervisor: api.port: 127.0.0.1:{operator.api_port} is taken")
    assert str(operator.config) in line
    assert "Traceback" not in done.stderr
    assert not operator.sandbox.control.bots()


def test_a_foreground_master_is_restarted_as_a_daemon(operator):
    operator.configure(bots="")
    with Terminal([COMMAND, "start", "--config", str(operator.config)]) as terminal:
        wait_until(lambda: operator.run("status").returncode == 0, timeout_s=60)
        restarted = operator.run("restart", "--cold")
        wait_until(terminal.has_ended, timeout_s=60)
    assert restarted.returncode == 0
    assert restarted.stderr == "the master ran in the foreground; it comes back as a daemon\n"
    assert operator.run("restart", "--cold").stderr == ""
    assert operator.run("status").returncode == 0


def test_check_summarizes_a_configuration(operator):
    said = operator.do("check")
    assert said.splitlines()[0].startswith(f"{operator.config}: fine")
    assert "2 bots" in said
    assert re.search(r"^ +shop +bots/shop\.py$", said, re.MULTILINE)
    assert operator.sandbox.token(NUMBERS["shop"]) not in said


def test_the_http_api_of_a_running_fleet(operator):
    import urllib.error
    import urllib.request

    operator.do("start", "--daemon")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path: str) -> str:
        with opener.open(f"http://127.0.0.1:{operator.api_port}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    assert json.loads(get("/health"))["ok"] is True
    assert [bot["bot_id"] for bot in json.loads(get("/api/workers/status"))["workers"]] == ["shop", "support"]
    assert 'brama_bot_up{bot="shop"} 1.0' in get("/metrics")
    assert operator.sandbox.token(NUMBERS["shop"]) not in get("/api/workers/status") + get("/metrics")
    request = urllib.request.Request(f"http://127.0.0.1:{operator.api_port}/api/stop", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(request, timeout=20)
    assert refused.value.code == 403
    assert "api.token" in refused.value.read().decode()
    refused.value.close()


def test_dead_letters_are_shown_replayed_and_dropped(operator):
    fragile = ECHO.replace("{prefix}", "").replace(
        'print("handling', 'assert os.path.exists("mended"), "the oven is cold"\n    print("handling'
    )
    (operator.root / "bots" / "shop.py").write_text(fragile)
    operator.do("start", "--daemon")
    for text in ("one", "two"):
        operator.write("shop", text)

    def letters() -> list[dict[str, Any]]:
        found = json.loads(operator.do("dead-letters", "list", "--json"))
        assert isinstance(found, list)
        return found

    wait_until(lambda: len(letters()) == 2, what="two dead letters")
    younger, older = (letter["id"] for letter in letters())
    table = operator.do("dead-letters", "list", "--bot", "shop")
    assert "handler_error" in table
    shown = operator.do("dead-letters", "show", str(older))
    assert "the oven is cold" in shown
    assert "echo" in shown
    assert '"one"' not in shown
    assert '"one"' in operator.do("dead-letters", "show", str(older), "--body")
    (operator.root / "bots" / "mended").touch()
    assert operator.do("dead-letters", "replay", str(older)) == "replayed 1\n"
    assert operator.hear("shop") == "one"
    assert operator.do("dead-letters", "drop", str(younger), "--yes") == "dropped 1\n"
    assert letters() == []
    missing = operator.run("dead-letters", "replay", "999999")
    assert missing.returncode == ExitCode.FAILED
    assert "there is no dead letter 999999" in missing.stderr
