"""Takes 50 calls of one key, ten at a time, and prints the moments between which each was granted.

``taker.py URL [[limit, length_ms], …]``
"""

import asyncio
import json
import sys

from brama.clock import monotonic_s
from jobs.engine.port import RateLimiter
from jobs.engine.rate_limiter import RateLimits
from jobs.policy.rates import Rates, Window
from jobs.turns import wait_for_turn


class Noting:
    """A limiter that notes when it was asked last."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self.asked_at = 0.0

    async def take(self, key: str, *, ahead: bool = False) -> float:
        self.asked_at = monotonic_s()
        return await self._limiter.take(key, ahead=ahead)


async def main(url: str, windows: str) -> None:
    limits = RateLimits(url, Rates())
    limiter = limits.sliding("takers", tuple(Window(*each) for each in json.loads(windows)))
    granted: list[tuple[float, float]] = []

    async def work() -> None:
        noting = Noting(limiter)
        for _ in range(5):
            await wait_for_turn(noting, "a")
            granted.append((noting.asked_at, monotonic_s()))

    await asyncio.gather(*(work() for _ in range(10)))
    await limits.close()
    print(json.dumps(granted))


asyncio.run(main(*sys.argv[1:]))
