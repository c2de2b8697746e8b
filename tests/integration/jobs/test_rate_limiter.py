"""The script on a real server: what it grants, to whom and when, and what it leaves behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engine.rate_limiter import RateLimits, redis_key
from jobs.engine.server import QueueServer
from jobs.policy.rates import Ledger, Rates, Window, take
from tests.integration.jobs.stage import redis

#: A clock that a test sets, behind the windows of the call.
TEST_CLOCK = 'local now = tonumber(redis.call("GET", "clock"))'
SMALL = (Window(2, 600), Window(5, 1200), Window(8, 6000))


@pytest.fixture
async def limits(server: QueueServer) -> AsyncIterator[RateLimits]:
    limits = RateLimits(server.url)
    yield limits
    await limits.close()


calls = st.tuples(
    st.one_of(st.integers(0, 40), st.integers(0, 1500), st.integers(-900, 8000)), st.booleans()
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls, min_size=1, max_size=80), st.sampled_from([SMALL, Rates(3, 5, 9).windows]))
def test_the_script_does_what_the_policy_says(shared_url: str, history, windows):
    async def compare() -> None:
        limits = RateLimits(shared_url, clock=TEST_CLOCK)
        limiter = limits.sliding("model", windows)
        ledger, now_ms = Ledger(), 1_700_000_000_000
        async with redis(shared_url) as client:
            await client.flushdb()
            for step_ms, ahead in history:
                now_ms += step_ms
                await client.set("clock", now_ms)
                ledger, wait_ms = take(windows, ledger, now_ms, ahead)
                assert await limiter.take("a", ahead=ahead) * 1000 == pytest.approx(wait_ms, abs=0.01)
        await limits.close()

    asyncio.run(compare())


async def test_x(limits, server):
    l=limits.limit("jobs", Rates())
    from brama.clock import monotonic_s
    t=monotonic_s(); 
    for i in range(3000): w=await l.take("a", ahead=i%7==0)
    print(w, (monotonic_s()-t)/3000*1e6,"us")
    async with redis(server.url) as c:
        print(await c.strlen(redis_key("jobs","a")), await c.ttl(redis_key("jobs","a")), await c.memory_usage(redis_key("jobs","a")))
        t=monotonic_s(); 
        for i in range(3000): w=await c.time()
        print((monotonic_s()-t)/3000*1e6,"us")


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory):
    """A server for many examples, in a loop of its own."""
    import subprocess
    from jobs.engine.programs import find_program
    from tests.waiting import wait_until
    path = tmp_path_factory.mktemp("shared") / "s"
    p = subprocess.Popen([find_program(), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)], stdout=subprocess.DEVNULL)
    wait_until(path.exists)
    yield f"unix://{path}"
    p.terminate(); p.wait()
