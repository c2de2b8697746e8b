"""Turns signals and API calls into requests to stop or to reload.

Runs in: master.
"""

import asyncio
import signal

from brama.log import get_logger

_STOPPING = (signal.SIGTERM, signal.SIGINT)
#: Other daemons take these as "reopen" or "restart"; by default they would end the fleet.
_HARMLESS = (signal.SIGUSR1, signal.SIGUSR2)
log = get_logger(__name__)


class Requests:
    """Asked to stop once: gracefully; twice: at once. Asked to reload by SIGHUP.

    To be made in the loop.
    """

    def __init__(self) -> None:
        self._first = asyncio.Event()
        self._second = asyncio.Event()
        #: Set by each request to reload, cleared by whoever answers it.
        self.reload = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self.request)
        # A terminal that is closed sends it too; a reload of an unchanged file changes nothing.
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        for number in _HARMLESS:
            loop.add_signal_handler(number, _ignore, number)

    def request(self) -> None:
        """Ask to stop once more."""
        (self._second if self._first.is_set() else self._first).set()

    async def wait(self) -> None:
        """Wait for the first request to stop."""
        await self._first.wait()

    async def wait_again(self) -> None:
        """Wait for the second."""
        await self._second.wait()


def _ignore(number: signal.Signals) -> None:
    log.warning("signal.ignored", signal=number.name)
