"""Tells systemd how the master is: ready, reloading, stopping, alive; without systemd, nobody.

Protocol: sd_notify(3), sd_watchdog_enabled(3).

Runs in: master.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from brama.clock import monotonic_s

#: Between two status lines where no watchdog asks for more.
STATUS_EVERY_S = 10.0


class ServiceManager:
    """The service manager that started this process, if one did.

    Args:
        environ: NOTIFY_SOCKET and WATCHDOG_USEC of it count.
        describe: returns the line that ``systemctl status`` shows.
    """

    def __init__(self, environ: Mapping[str, str], describe: Callable[[], str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        #: An abstract address is written with @ and begins with a zero byte.
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._describe = describe
        self._interval_s = _interval_s(environ)
        self._timer: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """Updates are taken in and bots are on their way; from now on it is told that the loop turns."""
        self._say("READY=1")
        if self._address and self._timer is None:
            self._beat()

    def reloading(self) -> None:
        """The configuration or the code is being changed; ``ready`` is to follow."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={int(monotonic_s() * 1_000_000)}")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Tell when a change begins and that it is over."""
        self.reloading()
        try:
            yield
        finally:
            self._say("READY=1")

    def stopping(self, timeout_s: float) -> None:
        """The end has begun and may take ``timeout_s`` seconds."""
        self._say("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(timeout_s * 1_000_000)}")

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._say("WATCHDOG=1", f"STATUS={self._describe()}")
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._beat)

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as out:  # nobody listening ends no fleet
            out.sendto("\n".join(lines).encode(), self._address)


def _interval_s(environ: Mapping[str, str]) -> float:
    """Return the pause between two signs of life: half of what the watchdog allows."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return STATUS_EVERY_S
    try:
        return min(int(environ["WATCHDOG_USEC"]) / 2_000_000, STATUS_EVERY_S)
    except (KeyError, ValueError):
        return STATUS_EVERY_S
