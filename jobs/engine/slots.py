"""The jobs that one process runs at once, over all its queues.

Runs in: job worker.
"""

import asyncio
from collections import Counter


class Slots:
    """A number of slots, handed out in the order in which they were asked for.

    Args:
        count: how many there are; at least 1.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._waiting: Counter[str] = Counter()

    async def acquire(self, queue: str) -> None:
        """Wait for a slot for a job of ``queue``."""
        self._waiting[queue] += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting[queue] -= 1

    def release(self) -> None:
        """Give a slot to whoever waits longest."""
        self._free.release()

    def are_wanted_beside(self, queue: str) -> bool:
        """Return whether another queue than ``queue`` waits for a slot."""
        return self._waiting.total() > self._waiting[queue]
