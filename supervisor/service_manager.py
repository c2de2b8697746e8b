"""Tells the service manager how the master is: systemd, or whatever else started it and speaks sd_notify(3).

Runs in: master.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from brama.clock import monotonic_s
from brama.log import get_logger
from supervisor.control.policy.progress import describe_progress, progress_of
from supervisor.control.status import Status

#: The status is said anew at this interval; more often where the watchdog asks for it.
STATUS_S = 10.0
#: Added to the stop's timeout: the fleet is given up 10 s after it, then the files are closed.
CLOSING_S = 20.0
#: sd_watchdog_enabled(3): "no watchdog", as an unsigned 64-bit number.
_NEVER_US = 2**64 - 1

log = get_logger(__name__)


def notify_address(environ: Mapping[str, str]) -> bytes | None:
    """Return the socket that NOTIFY_SOCKET names, None if there is none that can be spoken to.

    It is a path, or an abstract name with ``@`` for its first, zero byte.
    """
    name = environ.get("NOTIFY_SOCKET", "")
    if name[:1] not in {"/", "@"} or len(name) < 2:
        return None
    address = os.fsencode(name)
    return b"\0" + address[1:] if name.startswith("@") else address


def watchdog_timeout_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Return after how many seconds of silence the watchdog bites ``pid``, None if it never does."""
    text = environ.get("WATCHDOG_USEC", "")
    timeout_us = int(text) if text.isdecimal() else 0
    is_ours = environ.get("WATCHDOG_PID") in {None, "", str(pid)}
    return timeout_us / 1e6 if is_ours and 0 < timeout_us < _NEVER_US else None


class ServiceManager:
    """The way to the service manager. Without one every method does nothing; none raises, none waits.

    The variables that name it stay in the master's environment: a master that executes itself in place keeps
    its pid, and says ``ready`` once more.

    Args:
        environ: the master's environment.
        status: returns the master's status.
        can_work: returns False when nothing but a new process helps. What a new process would meet again,
            such as a full disk, is none of the watchdog's business.
    """

    def __init__(
        self, environ: Mapping[str, str], status: Callable[[], Status], can_work: Callable[[], bool]
    ) -> None:
        self._address = notify_address(environ)
        self._timeout_s = watchdog_timeout_s(environ, os.getpid())
        self._status = status
        self._can_work = can_work
        self._most_processes = 0
        self._stopping = False
        #: What its full queue did not take; said with the next words, which replace it.
        self._unsaid: dict[str, object] = {}
        self._is_unreachable = False

    def ready(self) -> None:
        """Updates are taken in and bots are being started; also after a reload, or a restart in place."""
        self._say(READY=1, STATUS=self._words())

    @contextmanager
    def reload(self) -> Iterator[None]:
        """The configuration is read anew inside of the block."""
        self._say_reloading("reloading the configuration")
        try:
            yield
        finally:
            if not self._stopping:
                self.ready()

    def restarting(self) -> None:
        """This process is about to execute itself in place; the new code, or else the old, says ``ready``."""
        self._say_reloading("restarting in place")

    def stopping(self, timeout_s: float) -> None:
        """The master ends within ``timeout_s`` and CLOSING_S seconds, and is to be given them."""
        self._stopping = True
        limit_us = int((timeout_s + CLOSING_S) * 1e6)
        self._say(STOPPING=1, STATUS=self._words(), EXTEND_TIMEOUT_USEC=limit_us)

    async def attend(self) -> None:
        """Keep the status true and the watchdog at bay for as long as the loop turns; until cancelled."""
        if self._address is None:
            return
        pause_s = STATUS_S if self._timeout_s is None else min(STATUS_S, self._timeout_s / 2)
        while True:
            watchdog = {"WATCHDOG": 1} if self._timeout_s is not None and self._can_work() else {}
            self._say(**watchdog, STATUS=self._words())
            await asyncio.sleep(pause_s)

    # --- inside ---------------------------------------------------------------------------------

    def _say_reloading(self, words: str) -> None:
        # The watchdog's time begins anew: a restart has all of it for its first sign of life.
        self._say(RELOADING=1, MONOTONIC_USEC=int(monotonic_s() * 1e6), STATUS=words, WATCHDOG=1)

    def _words(self) -> str:
        if self._address is None:
            return ""
        try:
            status = self._status()
        except Exception:  # a fleet that cannot be counted goes on, and is not to be killed for it
            log.exception("service_manager.status_failed")
            return ""
        progress = progress_of(status)
        self._most_processes = max(self._most_processes, progress.alive)
        words = describe_progress(progress, self._most_processes)
        return words + ("; the last reload changed nothing" if status.master.reload_problems else "")

    def _say(self, **words: object) -> None:
        """Send variables of sd_notify(3) in one datagram."""
        if self._address is None:
            return
        self._unsaid |= words
        text = "\n".join(f"{name}={value}" for name, value in self._unsaid.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as way:
                way.sendto(text.encode(), self._address)
        except BlockingIOError:
            return
        except OSError as error:
            if not self._is_unreachable:
                log.warning("service_manager.unreachable", socket=self._address, detail=str(error))
            self._is_unreachable = True
        else:
            self._is_unreachable = False
        self._unsaid.clear()
