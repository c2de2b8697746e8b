"""Holds the first calls of new tokens back while Telegram wants them spaced.

Runs in: master.
"""

from collections.abc import Awaitable, Callable

from brama.clock import Clock
from supervisor.updates.policy.start_gate import StartGate, reserve, shut


class Gate:
    """The one gate of all pollers; the rule is ``policy.start_gate``."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._gate = StartGate()

    def shut(self, retry_after_s: float) -> None:
        """Take in that a token's first call was answered 429."""
        self._gate = shut(self._gate, self._clock(), retry_after_s)

    async def wait_open(self, on_wait: Callable[[], None]) -> None:
        """Return when this caller may make its first call; ``on_wait`` is called if that is not at once."""
        while True:
            self._gate, at = reserve(self._gate, self._clock())
            if at <= self._clock():
                return
            on_wait()
            await self._sleep(at - self._clock())
            if at >= self._gate.closed_until:  # else it was shut again meanwhile
                return
