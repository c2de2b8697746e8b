"""Takes 50 calls of one key, ten at a time, and prints the moments between which each was granted.

``taker.py URL [[limit, length_ms], …]``
"""

import asyncio
import json
import sys

from brama.clock import monotonic_s
from jobs.engine.rate_limiter import RateLimits
from jobs.policy.rates import Rates, Window


async def main(url: str, windows: str) -> None:
    limits = RateLimits(url, Rates())
    limiter = limits.sliding("takers", tuple(Window(*each) for each in json.loads(windows)))
    granted: list[tuple[float, float]] = []

    async def work() -> None:
        for _ in range(5):
            ahead = False
            while True:
                before = monotonic_s()
                wait_s = await limiter.take("a", ahead=ahead)
                if not wait_s:
                    break
                ahead = True
                await asyncio.sleep(wait_s)
            granted.append((before, monotonic_s()))

    await asyncio.gather(*(work() for _ in range(10)))
    await limits.close()
    print(json.dumps(granted))


asyncio.run(main(*sys.argv[1:]))
