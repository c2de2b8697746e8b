"""The script on a real server: what it grants, to whom and when, and what it leaves behind."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engine.rate_limiter import RateLimits, redis_key
from jobs.engine.server import QueueServer
from jobs.errors import EngineUnavailableError
from jobs.policy.rates import Ledger, Rates, Window, take
from jobs.turns import wait_for_turn
from tests.integration.jobs.processes import ROOT
from tests.integration.jobs.stage import redis
from tests.integration.jobs.test_endings import kill_server
from tests.waiting import await_until

#: A clock that a test sets.
TEST_CLOCK = 'local now = tonumber(redis.call("GET", "clock"))'
SMALL = (Window(2, 600), Window(5, 1200), Window(8, 6000))


@pytest.fixture
async def limits(server: QueueServer) -> AsyncIterator[RateLimits]:
    limits = RateLimits(server.url, Rates())
    yield limits
    await limits.close()


steps = st.one_of(st.integers(0, 40), st.integers(0, 1500), st.integers(-900, 8000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(st.tuples(steps, st.booleans()), min_size=1, max_size=80),
    windows=st.sampled_from([SMALL, Rates(3, 5, 9).windows]),
)
async def test_the_script_does_what_the_policy_says(server: QueueServer, history, windows):
    limits = RateLimits(server.url, Rates(), clock=TEST_CLOCK)
    limiter = limits.sliding("model", windows)
    ledger, now_ms = Ledger(), 1_700_000_000_000
    async with redis(server.url) as client:
        await client.flushdb()
        for step_ms, ahead in history:
            now_ms += step_ms
            await client.set("clock", now_ms)
            ledger, wait_ms = take(windows, ledger, now_ms, ahead)
            assert round(await limiter.take("a", ahead=ahead) * 1000) == wait_ms
    await limits.close()


async def test_takers_in_several_processes_get_together_what_one_would(server: QueueServer):
    """Each says between which two moments it was granted a call; so much is certain on any machine."""
    windows = (Window(20, 600), Window(60, 3000))
    script = str(ROOT / "tests/integration/jobs/taker.py")
    takers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, script, server.url, json.dumps([(w.limit, w.length_ms) for w in windows])),
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    said = [await taker.communicate() for taker in takers]
    granted = sorted(tuple(each) for out, _ in said for each in json.loads(out))
    assert len(granted) == 3 * 50
    for window in windows:
        for first in range(len(granted) - window.limit):
            these = granted[first : first + window.limit + 1]
            earliest, latest = min(before for before, _ in these), max(after for _, after in these)
            assert latest - earliest >= window.length_ms / 1000


async def test_the_day_is_counted_once_however_many_ask_at_a_time(limits: RateLimits):
    limiter = limits.own("day", Rates(1000, 1000, 37))
    waits = await asyncio.gather(*(limiter.take("a") for _ in range(200)))
    assert waits.count(0.0) == 37
    turns = sorted(wait_s for wait_s in waits if wait_s)
    assert turns[0] > 86_000
    assert len(set(turns)) == len(turns)


async def test_keys_and_limits_do_not_know_each_other(limits: RateLimits):
    one, two = limits.own("one", Rates(1, 1, 1)), limits.own("two", Rates(1, 1, 1))
    assert await one.take("a") == 0.0
    assert await one.take("a") > 0.0
    assert await one.take("b") == 0.0
    assert await two.take("a") == 0.0
    assert await limits.shared.take("a") == 0.0


async def test_what_is_kept_is_small_names_nobody_and_goes_away_by_itself(
    limits: RateLimits, server: QueueServer
):
    for number in range(1000):
        await limits.shared.take("Shop & Söhne", ahead=number % 5 == 0)
    await limits.sliding("short", (Window(1, 60),)).take("a")
    async with redis(server.url) as client:
        await await_until(lambda: _is_gone(client, redis_key("short", "a")))
        (key,) = await client.keys()
        assert key == redis_key("all", "Shop & Söhne")
        assert "Shop" not in key
        assert 86_400 < await client.ttl(key) <= 86_400 + 1440 + 1000
        assert (await client.memory_usage(key) or 0) < 10_000


async def _is_gone(client, key: str) -> bool:
    return not await client.exists(key)


async def test_a_killed_server_remembers_what_was_taken(limits: RateLimits, server: QueueServer):
    limiter = limits.own("day", Rates(2, 2, 2))
    assert [await limiter.take("a"), await limiter.take("a")] == [0.0, 0.0]
    await kill_server(server)
    with suppress(EngineUnavailableError):  # the connection that died
        await limiter.take("b")
    assert await limiter.take("a") > 0.0


async def test_a_full_server_grants_nothing(limits: RateLimits, server: QueueServer):
    async with redis(server.url) as client:
        await client.config_set("maxmemory", 1)
    with pytest.raises(EngineUnavailableError, match="memory"):
        await limits.shared.take("a")


async def test_nothing_is_granted_while_the_server_is_away_and_who_waits_goes_on_after(
    limits: RateLimits, server: QueueServer
):
    limiter = limits.own("day", Rates())
    assert await limiter.take("a") == 0.0
    pid = server.pid
    assert pid is not None
    psutil.Process(pid).suspend()
    with pytest.raises(EngineUnavailableError, match="the Redis server: "):
        await limiter.take("a")
    waiting = asyncio.create_task(wait_for_turn(limiter, "a"))
    os.kill(pid, signal.SIGKILL)
    await await_until(lambda: server.pid not in (None, pid))
    await waiting
