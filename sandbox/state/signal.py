"""Wakes coroutines that wait for something to change."""

import asyncio

from brama.clock import monotonic_s


class Signal:
    """A change that any number of coroutines can wait for; costs nothing while nobody does."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Wake everyone who waits now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait_until(self, deadline_at: float) -> bool:
        """Wait for the next change; returns False when ``deadline_at`` (monotonic seconds) came first."""
        left_s = deadline_at - monotonic_s()
        if left_s <= 0:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(left_s):
                await future
        except TimeoutError:
            return False
        finally:
            if not future.done():
                future.cancel()
            if future.cancelled() and future in self._waiting:
                self._waiting.remove(future)
        return True
