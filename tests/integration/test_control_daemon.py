"""Detaching a master, with something simpler than a master in its place."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until

LAUNCHER = """
import os, select, signal, sys
from pathlib import Path
from supervisor.commands.daemon import launch

def serve(on_ready):
    sys.stderr.write("words before it serves\\n")
    on_ready()
    os.write(2, b"words after\\n")
    signal.sigwait({signal.SIGTERM})
    return 0

def refuse(on_ready):
    sys.stderr.write("brama-supervisor: the port is taken\\n")
    return 78

def die(on_ready):
    os.kill(os.getpid(), signal.SIGKILL)

def dawdle(on_ready):
    signal.sigwait({signal.SIGTERM})
    return 0

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
folder = Path(sys.argv[2])
run, timeout_s = globals()[sys.argv[1]], float(sys.argv[3])
launched = launch(run, folder=folder, error_log=folder / "master.err", timeout_s=timeout_s)
print(launched.pid, "up" if launched.failure is None else int(launched.failure))
"""


def launch(life: str, folder: Path, timeout_s: float = 30.0) -> tuple[int, str, str]:
    """Return pid, outcome and stderr of a launcher that detaches ``life``."""
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, life, str(folder), str(timeout_s)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    pid, outcome = done.stdout.split()
    return int(pid), outcome, done.stderr


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # init takes its time to reap orphans
    except psutil.NoSuchProcess:
        return True


def end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: has_ended(pid), what=f"the end of {pid}")


def test_a_daemon_that_serves_has_no_terminal_and_no_caller(tmp_path):
    pid, outcome, said = launch("serve", tmp_path)
    try:
        assert outcome == "up"
        assert said == "words before it serves\n"
        assert os.getsid(pid) not in (pid, os.getsid(0))
        assert psutil.Process(pid).terminal() is None
        assert Path(f"/proc/{pid}/cwd").readlink() == tmp_path
        assert {Path(f"/proc/{pid}/fd/{fd}").readlink() for fd in (0, 1)} == {Path("/dev/null")}
        wait_until(lambda: (tmp_path / "master.err").read_text() == "words after\n", what="its last words")
        # Nothing of the caller's stays open in it: a pipe that is read to its end would never end.
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) == 3
    finally:
        end(pid)


def test_a_daemon_that_fails_hands_over_its_words_and_its_code(tmp_path):
    _, outcome, said = launch("refuse", tmp_path)
    assert (outcome, said) == ("78", "brama-supervisor: the port is taken\n")


def test_a_daemon_that_dies_is_a_failure(tmp_path):
    pid, outcome, said = launch("die", tmp_path)
    assert outcome == "1"
    assert said == f"brama-supervisor: the master (pid {pid}) died before it served\n"


def test_a_daemon_that_never_serves_is_not_waited_for_for_ever(tmp_path):
    pid, outcome, said = launch("dawdle", tmp_path, timeout_s=0.3)
    try:
        assert outcome == "1"
        assert "does not serve after 0.3 s" in said
    finally:
        end(pid)


@pytest.mark.parametrize("life", ["refuse", "die"])
def test_nothing_is_left_of_a_daemon_that_failed(tmp_path, life):
    pid, _, _ = launch(life, tmp_path)
    wait_until(lambda: has_ended(pid), what=f"the end of {pid}")
    assert list(tmp_path.iterdir()) == []
