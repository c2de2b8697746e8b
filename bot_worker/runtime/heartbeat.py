"""Tells the master at intervals that the event loop turns, and how well.

Runs in: worker.
"""

import asyncio
from contextvars import Context

from bot_worker.runtime.feeder import Feeder
from bot_worker.runtime.memory import Memory
from bot_worker.runtime.ports import Channel
from bot_worker.runtime.tracker import Tracker
from brama.messages import Heartbeat as HeartbeatMessage


class Heartbeat:
    """Beats every ``interval_s`` seconds of the loop it was last started in."""

    def __init__(
        self, channel: Channel, tracker: Tracker, feeder: Feeder, generation: int, interval_s: float
    ) -> None:
        self._channel = channel
        self._tracker = tracker
        self._feeder = feeder
        self._generation = generation
        self._interval_s = interval_s
        self._memory = Memory()
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Beat in ``loop`` from its next turn on."""
        self.stop()
        self._loop = loop
        self._timer = loop.call_at(loop.time(), self._beat, loop, loop.time(), context=Context())

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def change(self, interval_s: float) -> None:
        """Beat every ``interval_s`` seconds from now on; to be called in the loop it beats in."""
        self._interval_s = interval_s
        if self._timer is not None and self._loop is not None:
            self.start(self._loop)

    def _beat(self, loop: asyncio.AbstractEventLoop, due_at: float) -> None:
        now = loop.time()
        self._beats += 1
        self._channel.send(
            HeartbeatMessage(
                beat=self._beats,
                generation=self._generation,
                loop_lag_ms=max(0.0, (now - due_at) * 1000),
                in_flight=len(self._tracker) + len(self._feeder),
                uss_bytes=self._memory.uss_bytes(self._tracker.processed + self._tracker.failed),
                messages=self._tracker.processed,
                errors=self._tracker.failed,
            )
        )
        next_at = now + self._interval_s
        self._timer = loop.call_at(next_at, self._beat, loop, next_at, context=Context())
