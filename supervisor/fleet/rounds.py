"""Visits every worker once in ten seconds, spread evenly, so that a thousand are no burst.

Runs in: master.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from brama.ids import BotId

#: Each worker is visited once in this time.
ROUND_S = 10.0
#: The master is not woken more often than this for it.
_SHORTEST_PAUSE_S = 0.5


class Rounds:
    """A timer that goes round.

    Args:
        loop: the master's.
        everyone: returns whoever is to be visited in the next round.
        visit: called for each.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        everyone: Callable[[], Iterable[BotId]],
        visit: Callable[[BotId], None],
    ) -> None:
        self._loop = loop
        self._everyone = everyone
        self._visit = visit
        self._queue: deque[BotId] = deque()
        self._at_a_time = 1
        self._pause_s = ROUND_S
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._next_round()
        self._timer = self._loop.call_later(self._pause_s, self._go_on)

    def stop(self) -> None:
        """Visit nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _go_on(self) -> None:
        for _ in range(min(self._at_a_time, len(self._queue))):
            self._visit(self._queue.popleft())
        if not self._queue:
            self._next_round()
        self._timer = self._loop.call_later(self._pause_s, self._go_on)

    def _next_round(self) -> None:
        self._queue.extend(self._everyone())
        count = max(len(self._queue), 1)
        self._pause_s = max(ROUND_S / count, _SHORTEST_PAUSE_S)
        self._at_a_time = max(round(count * self._pause_s / ROUND_S), 1)
