"""Watches, signals and reaps one worker by its pidfd.

The pid stays the worker's until ``reap``: a zombie keeps its number, and that of its process group.

Runs in: master.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: one of ``code`` and ``signal`` (its name) is set, neither if nobody can know."""

    code: int | None = None
    signal: str | None = None


class ChildProcess:
    """A child of the master. ``on_exit`` is called once, in the loop, when it has ended.

    Raises:
        OSError: there is no such process, or no file descriptor left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pid: int, on_exit: Callable[[], None]) -> None:
        self.pid = pid
        self._loop = loop
        self._on_exit = on_exit
        pidfd = os.pidfd_open(pid)
        #: None once pid and group may be another's.
        self._pidfd: int | None = pidfd
        loop.add_reader(pidfd, self._ended, pidfd)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it is there; after ``reap`` it is not."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill_group(self) -> None:
        """SIGKILL the process and its group, before or after its end; after ``reap`` there are none."""
        if self._pidfd is None:
            return
        self.signal(signal.SIGKILL)
        # Before its setsid() there is no group of this number; nobody else's can have it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def release(self) -> None:
        """Watch it no more; it lives on, and another may."""
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def reap(self) -> Exit:
        """Take the exit status of the process that ended, and let go of its pid. To be called once."""
        assert self._pidfd is not None
        pidfd, self._pidfd = self._pidfd, None
        try:
            result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:  # somebody else waited for it
            result = None
        os.close(pidfd)
        if result is None:
            return Exit()
        if result.si_code == os.CLD_EXITED:
            return Exit(code=result.si_status)
        return Exit(signal=_name(result.si_status))

    def _ended(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        self._on_exit()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
