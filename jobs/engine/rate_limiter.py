"""Rate limits that hold over all processes and machines that share a server.

One script on the server decides each call, by the server's clock; ``jobs.policy.rates`` says what it does. A
key's calls are one value, which goes away by itself when no window sees them any more. Its size is bounded by
the number of parts in three windows, however many callers wait.

Runs in: job worker.
"""

import asyncio
import hashlib
from pathlib import Path

from redis.commands.core import AsyncScript

from jobs.engine.connections import is_unavailable, producer_client
from jobs.errors import EngineUnavailableError
from jobs.policy.rates import PARTS, Rates, Window

#: Of all keys. Those of BullMQ begin with "bull:".
PREFIX = "brama:rate"
#: Calls of one process on their way at once; redis-py refuses a hundred and first.
_AT_ONCE = 50

SERVER_CLOCK = """
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_TAKE = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")


class RateLimits:
    """The limits of one server.

    Args:
        url: redis://, rediss:// or unix://; connected to at the first call.
        rates: of the limit that all share who have none of their own; the same wherever that is asked about.
        clock: Lua that sets ``now``, in milliseconds.
    """

    def __init__(self, url: str, rates: Rates, *, clock: str = SERVER_CLOCK) -> None:
        self._client = producer_client(url)
        self._turnstile = asyncio.Semaphore(_AT_ONCE)
        self._script = self._client.register_script(f"local PARTS = {PARTS}\n{clock}\n{_TAKE}")
        self.shared = self.sliding("all", rates.windows)

    def own(self, name: str, rates: Rates) -> "RedisRateLimiter":
        """Return a limit beside the shared one; all who ask for ``name`` bring the same rates."""
        return self.sliding(f"own:{name}", rates.windows)

    def sliding(self, name: str, windows: tuple[Window, ...]) -> "RedisRateLimiter":
        """Return the limit ``name`` of any windows, the shortest first."""
        return RedisRateLimiter(self._script, self._turnstile, name, windows)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


class RedisRateLimiter:
    """A ``RateLimiter`` on the server.

    Args:
        script: the one above.
        turnstile: lets so many through as there are connections.
        name: of the limit.
        windows: the shortest first.
    """

    def __init__(
        self, script: AsyncScript, turnstile: asyncio.Semaphore, name: str, windows: tuple[Window, ...]
    ) -> None:
        self._script = script
        self._turnstile = turnstile
        self._name = name
        self._windows = [
            number for each in windows for number in (each.limit, each.length_ms, each.spacing_ms)
        ]

    async def take(self, key: str, *, ahead: bool = False) -> float:
        """See RateLimiter."""
        try:
            async with self._turnstile:
                wait_ms = await self._script([redis_key(self._name, key)], [int(ahead), *self._windows])
        except Exception as error:
            if is_unavailable(error):
                raise EngineUnavailableError(
                    f"the Redis server: {str(error) or type(error).__name__}"
                ) from error
            raise
        return int(wait_ms) / 1000


def redis_key(name: str, key: str) -> str:
    """Return where the server keeps the calls of ``key``; who that is stays private."""
    return f"{PREFIX}:{name}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"
