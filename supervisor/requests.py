"""Turns signals and API calls into requests to stop, to reload or to restart.

Runs in: master.
"""

import asyncio
import signal
from enum import Enum, auto

from brama.log import get_logger

_STOPPING = (signal.SIGTERM, signal.SIGINT)
#: Other daemons take it as "reopen the log"; by default it would end the fleet.
_HARMLESS = (signal.SIGUSR1,)
_HANDLED = frozenset({*_STOPPING, *_HARMLESS, signal.SIGHUP, signal.SIGUSR2})
log = get_logger(__name__)


class Wish(Enum):
    """How a master is to end."""

    #: Gracefully, with all bots.
    STOP = auto()
    #: By being replaced; the bots run on.
    HAND_OVER = auto()


class Requests:
    """Asked to stop once: gracefully; twice: at once. Asked to reload by SIGHUP, to restart hot by SIGUSR2.

    To be made in the loop.
    """

    def __init__(self) -> None:
        self._ended: asyncio.Future[Wish] = asyncio.get_running_loop().create_future()
        self._second = asyncio.Event()
        #: Set by each request to reload, cleared by whoever answers it.
        self.reload = asyncio.Event()
        #: Likewise to restart hot.
        self.restart = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self.request)
        # A terminal that is closed sends it too; a reload of an unchanged file changes nothing.
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        loop.add_signal_handler(signal.SIGUSR2, self.restart.set)
        for number in _HARMLESS:
            loop.add_signal_handler(number, _ignore, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)

    def request(self) -> None:
        """Ask to stop once more."""
        if self._ended.done():
            self._second.set()
        else:
            self._ended.set_result(Wish.STOP)

    def hand_over(self) -> bool:
        """Ask to be replaced; return whether nobody has asked to stop before."""
        if not self._ended.done():
            self._ended.set_result(Wish.HAND_OVER)
        return self._ended.result() is Wish.HAND_OVER

    @property
    def unanswered(self) -> tuple[signal.Signals, ...]:
        """Signals for what was asked since ``hand_over``, which the next master has to answer."""
        asked = (
            (self._second, signal.SIGTERM),
            (self.reload, signal.SIGHUP),
            (self.restart, signal.SIGUSR2),
        )
        return tuple(number for event, number in asked if event.is_set())

    async def wait(self) -> Wish:
        """Wait for the first request to end."""
        return await asyncio.shield(self._ended)

    async def wait_again(self) -> None:
        """Wait for the second request to stop."""
        await self._second.wait()


def hold_signals() -> None:
    """Have signals wait until there are ``Requests`` again, in this process or in what it executes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)


def _ignore(number: signal.Signals) -> None:
    log.warning("signal.ignored", signal=number.name)
