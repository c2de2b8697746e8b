"""Brings a worker to its end without losing anything: on Drain, and on a SIGTERM the script does not handle.

Runs in: worker.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from types import FrameType

from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.feeder import Feeder
from bot_worker.runtime.outbox import Outbox
from bot_worker.runtime.session import Session
from bot_worker.runtime.tracker import Tracker


class Draining:
    """Gives back what has not begun, lets the rest finish and be saved, then has the script end.

    There is no limit of time here: the master has one, and kills.
    """

    def __init__(
        self, session: Session, tracker: Tracker, feeder: Feeder, acknowledger: Acknowledger, outbox: Outbox
    ) -> None:
        self._session = session
        self._tracker = tracker
        self._feeder = feeder
        self._acknowledger = acknowledger
        self._outbox = outbox
        self._settling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start to drain; asked again, have the script end without waiting for updates in progress."""
        if self._session.draining:
            self._session.end_script()
            return
        self._session.draining = True
        self._feeder.close()
        self._tracker.when_idle(self._idle)

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Handle SIGTERM for a script that does not."""
        if not self.begin_soon():
            raise SystemExit(128 + number)

    def begin_soon(self) -> bool:
        """Have ``begin`` called in the bot's loop, from any thread; False if no loop runs."""
        loop = self._session.loop
        if loop is None or not loop.is_running():
            return False
        loop.call_soon_threadsafe(self.begin)
        return True

    @contextmanager
    def on_termination(self) -> Iterator[None]:
        """Handle SIGTERM until the script handles it itself; to be used in the main thread."""
        signal.signal(signal.SIGTERM, self.on_signal)
        self._session.own_handler = self.on_signal
        try:
            yield
        finally:  # from here the process ends by itself, with the exit code that stands
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _idle(self) -> None:
        self._settling = asyncio.get_running_loop().create_task(self._settle(), context=Context())

    async def _settle(self) -> None:
        await self._acknowledger.settle()
        self._outbox.send()
        asyncio.get_running_loop().call_soon(self._session.end_script)
