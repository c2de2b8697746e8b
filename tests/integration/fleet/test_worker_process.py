"""A worker's process is signalled only while its pid and its pidfd are its own."""

import asyncio
import os
import signal
import subprocess

from brama.child_process import ChildProcess, Exit
from tests.waiting import await_until


async def test_after_its_end_was_taken_nobody_else_is_signalled():
    ended: list[bool] = []
    child = subprocess.Popen(["true"], start_new_session=True)  # noqa: ASYNC220
    process = ChildProcess(asyncio.get_running_loop(), child.pid, lambda: ended.append(True))
    await await_until(lambda: ended)
    assert process.reap() == Exit(code=0)
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)  # noqa: ASYNC220
    try:
        pidfd = os.pidfd_open(other.pid)  # takes the place of the one that was closed
        process.signal(signal.SIGHUP)
        process.kill_group()
        os.close(pidfd)
        other.terminate()
        assert other.wait() == -signal.SIGTERM
    finally:
        other.kill()
        other.wait()
        child.wait()
