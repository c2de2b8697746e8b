"""Turns signals and API calls into requests to stop.

Runs in: master.
"""

import asyncio
import signal

from brama.log import get_logger

_STOPPING = (signal.SIGTERM, signal.SIGINT)
#: Other daemons take these as "reload" or "reopen"; by default they would end the fleet.
_HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
log = get_logger(__name__)


class StopRequests:
    """The first request asks for a graceful stop, the second for one at once. To be made in the loop."""

    def __init__(self) -> None:
        self._first = asyncio.Event()
        self._second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self.request)
        for number in _HARMLESS:
            loop.add_signal_handler(number, _ignore, number)

    def request(self) -> None:
        """Ask once more."""
        (self._second if self._first.is_set() else self._first).set()

    async def wait(self) -> None:
        """Wait for the first request."""
        await self._first.wait()

    async def wait_again(self) -> None:
        """Wait for the second request."""
        await self._second.wait()


def _ignore(number: signal.Signals) -> None:
    log.warning("signal.ignored", signal=number.name)
