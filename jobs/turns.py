"""Waits in place until a rate limit lets a call through.

Runs in: job worker.
"""

import asyncio

from brama.log import get_logger
from jobs.engine.port import RateLimiter
from jobs.errors import EngineUnavailableError

log = get_logger(__name__)

#: Between two tries to reach a server that is away, in seconds.
_RECONNECT_S = 1.0


async def wait_for_turn(limiter: RateLimiter, key: str) -> None:
    """Return once a call of ``key``'s has been taken from ``limiter``; it may be made then.

    For work that has begun: it goes before jobs that have not. It has no end of its own: a job's timeout, or
    its lock that is lost while the server is away, cancels it.
    """
    while True:
        try:
            wait_s = await limiter.take(key, ahead=True)
        except EngineUnavailableError as error:
            log.warning("limit.unreachable", error=str(error))
            await asyncio.sleep(_RECONNECT_S)
            continue
        if wait_s <= 0:
            return
        await asyncio.sleep(wait_s)
