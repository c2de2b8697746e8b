"""The suite's own guard: it sees every process that a test forgot."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.leftovers import MARKER, describe, leftovers
from tests.waiting import wait_until

IDLE = "import signal; signal.pause()"
#: Starts an idle process with nothing of ours open, prints its pid, and ends: the process loses its parent.
ORPHAN = f"""
import subprocess, sys
command = [sys.executable, "-c", {IDLE!r}]
nothing = subprocess.DEVNULL
print(subprocess.Popen(command, start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing).pid)
"""


@pytest.mark.parametrize("recognised_by", ["environment", "working directory"])
def test_an_orphan_is_found_and_named(recognised_by: str, tmp_path: Path) -> None:
    mark = "a mark no other run has"
    marked = recognised_by == "environment"
    started = subprocess.run(
        [sys.executable, "-c", ORPHAN],
        env={MARKER: mark} if marked else {},
        cwd="/" if marked else tmp_path,
        check=True,
        capture_output=True,
    )
    orphan = psutil.Process(int(started.stdout))
    try:
        assert orphan.ppid() != os.getpid()
        assert orphan in wait_until(lambda: leftovers(mark, tmp_path), what="the orphan to show")
        assert describe(orphan).startswith(f"{orphan.pid} {sys.executable} -c")
    finally:
        orphan.kill()
    wait_until(lambda: orphan not in leftovers(mark, tmp_path), what="the orphan to be gone")


def test_a_child_is_found_and_a_zombie_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", IDLE], env={}) as child:
        process = psutil.Process(child.pid)
        assert process in leftovers("no such mark", tmp_path)
        child.kill()
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)
        assert process not in leftovers("no such mark", tmp_path)
