"""The master as a service: what it tells systemd over a real socket, and the unit that is shipped."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fleet import Fleet
from tests.programs import find_program

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "brama-supervisor.service"
#: Of systemd-analyze, 0 to 100: what the shipped unit has, and not more.
EXPOSURE = 15
WATCHDOG_USEC = 400_000


@pytest.fixture
def notified(fleet: Fleet, tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(40)
        listener.bind(str(tmp_path / "notify"))
        fleet.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        fleet.environ["WATCHDOG_USEC"] = str(WATCHDOG_USEC)
        yield listener


def next_word(listener: socket.socket) -> str:
    """Return the next thing that is told but for signs of life."""
    while (word := listener.recv(4096).decode().split("\n")[0]) == "WATCHDOG=1":
        pass
    return word


def test_a_master_tells_what_it_does(fleet: Fleet, notified: socket.socket):
    shop = fleet.add("shop")
    fleet.start()
    assert next_word(notified) == "READY=1"
    assert fleet.process is not None
    fleet.wait_state("RUNNING")
    while "STATUS=1 of 1 bot running" not in (beat := notified.recv(4096).decode()):
        assert beat.startswith("WATCHDOG=1\n")
    assert shop.ask("environment NOTIFY_SOCKET") == "not set"
    assert shop.ask("environment WATCHDOG_USEC") == "not set"
    fleet.entries["shop"]["settings"] = {"greeting": "hello"}
    fleet.configure()
    os.kill(fleet.process.pid, signal.SIGHUP)
    assert [next_word(notified) for _ in range(2)] == ["RELOADING=1", "READY=1"]
    os.kill(fleet.process.pid, signal.SIGUSR2)
    assert [next_word(notified) for _ in range(2)] == ["RELOADING=1", "READY=1"]
    fleet.process.terminate()
    assert next_word(notified) == "STOPPING=1"
    assert fleet.wait_ended() == 0


def test_a_master_that_stands_still_gives_no_sign_of_life(fleet: Fleet, notified: socket.socket):
    fleet.start()
    assert next_word(notified) == "READY=1"
    assert fleet.process is not None
    os.kill(fleet.process.pid, signal.SIGSTOP)
    notified.settimeout(3 * WATCHDOG_USEC / 1_000_000)
    with pytest.raises(TimeoutError):
        list(iter(lambda: notified.recv(4096), b""))
    os.kill(fleet.process.pid, signal.SIGCONT)
    notified.settimeout(40)
    assert notified.recv(4096).decode().startswith("WATCHDOG=1\n")


def test_the_unit_is_valid_and_tight(tmp_path: Path):
    analyze = find_program("systemd-analyze", package="systemd")
    unit = tmp_path / UNIT.name
    program = "/srv/bots/current/venv/bin/brama-supervisor"
    text = UNIT.read_text()
    assert text.count(program) == 1
    unit.write_text(text.replace(program, sys.executable))
    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={EXPOSURE}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-200:]
