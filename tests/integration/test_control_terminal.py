"""What commands look like on a terminal."""

import os
import subprocess
import sys
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from supervisor.commands import progress_line
from supervisor.commands.progress_line import ProgressLine
from tests.terminals import Terminal
from tests.waiting import wait_until

COMMAND = [sys.executable, "-P", "-c", "from brama.console import main; main()"]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "logs").mkdir()
    path = tmp_path / "brama.yaml"
    path.write_text("bots: [{id: shop}]\n")
    return path


def serve(config: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes_control", str(config.parent / "state")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_watching_goes_on_while_the_master_is_away(config):
    master = serve(config)
    try:
        with Terminal([*COMMAND, "status", "--watch", "--config", str(config)]) as terminal:
            wait_until(lambda: terminal.shows("shop", "RUNNING", "2 bots: 2 running"))
            end(master)
            wait_until(lambda: terminal.shows("no master runs", "trying again"))
            master = serve(config)
            wait_until(lambda: terminal.shows("shop", "RUNNING"))
            terminal.interrupt()
            wait_until(terminal.has_ended)
            assert terminal.process.returncode == 130
            assert "\x1b[?1049l" in terminal.text()
            assert "Traceback" not in terminal.text()
    finally:
        end(master)


def test_a_status_is_coloured_unless_asked_not_to_be(config):
    master = serve(config)
    try:
        for environ, is_coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
            with Terminal([*COMMAND, "status", "--config", str(config)], plain | environ) as terminal:
                wait_until(terminal.has_ended)
                assert terminal.process.returncode == 0
                assert ("\x1b[32m" in terminal.text()) is is_coloured
    finally:
        end(master)


def test_logs_on_a_terminal_are_words_without_power_over_it(config):
    log = config.parent / "logs" / "worker_shop.log"
    log.write_text("before \x1b]0;title\x07\n")
    (config.parent / "logs" / "master.log").write_text(
        '{"at": "2026-01-02T12:00:01.000Z", "level": "info", "event": "worker.exited", "bot": "shop"}\n'
    )
    with Terminal([*COMMAND, "logs", "--config", str(config)]) as terminal:
        wait_until(terminal.has_ended)
        assert terminal.text() == "12:00:01 info    worker.exited bot=shop\r\n"
    with Terminal([*COMMAND, "logs", "shop", "-f", "--config", str(config)]) as terminal:
        wait_until(lambda: terminal.shows("before \\x1b]0;title\\x07"))
        with log.open("a") as file:
            file.write("after\n")
        wait_until(lambda: terminal.shows("after"))
        terminal.interrupt()
        wait_until(terminal.has_ended)
        assert terminal.process.returncode == 130
        assert "Traceback" not in terminal.text()


def test_dropping_dead_letters_asks_first(config):
    master = serve(config)
    try:
        command = [*COMMAND, "dead-letters", "drop", "--bot", "shop", "--all", "--config", str(config)]
        for answer, said, code in (("n", "nothing was dropped", 1), ("y", "dropped 0", 0)):
            with Terminal(command) as terminal:
                wait_until(partial(terminal.shows, "Delete all dead letters of shop for good?"))
                terminal.type(f"{answer}\n")
                wait_until(terminal.has_ended)
                assert said in terminal.text()
                assert terminal.process.returncode == code
    finally:
        end(master)


class FakeTerminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal_and_gone_at_the_end(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress_line, "monotonic_s", lambda: now)
    stream = FakeTerminal()
    with ProgressLine(stream) as line:
        line.show("starting 1/3")
        assert stream.getvalue() == ""  # what takes no time is not talked about
        now += 1
        line.show("starting 2/3")
        line.show("starting 2/3")
        line.show("starting 3/3")
        assert stream.getvalue() == "\r\x1b[Kstarting 2/3\r\x1b[Kstarting 3/3"
    assert stream.getvalue().endswith("\r\x1b[K")


def test_progress_elsewhere_is_few_lines(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress_line, "monotonic_s", lambda: now)
    stream = StringIO()
    with ProgressLine(stream) as line:
        for number in range(1, 13):
            now += 1
            line.show(f"starting {number}/12")
    assert stream.getvalue() == "starting 5/12\nstarting 10/12\n"
