"""What a real worker process does with jobs of organisations that have used up their limit."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bullmq
import pytest

from jobs.engine.port import Completed, HandedBack, Outcome, TakenJob
from jobs.engine.rate_limiter import RateLimits
from jobs.execution.children import Children
from jobs.execution.runner import Runner
from jobs.policy.rates import Rates, Window
from jobs.policy.verdict import Cause
from jobs.registry import load_types
from jobs.results import Results
from tests.integration.jobs import limited_handlers
from tests.integration.jobs.limited_handlers import Order
from tests.integration.jobs.processes import House, worker
from tests.integration.jobs.stage import consuming, redis
from tests.integration.jobs.test_endings import kill_server
from tests.waiting import await_until

MODULE = "tests.integration.jobs.limited_handlers"
CALLS = [limited_handlers.call, limited_handlers.call_blocking]


def order(at: House, organisation: str, text: str = "") -> Order:
    return Order(journal=at.journal, organisation=organisation, text=text)


async def test_a_limited_job_spends_no_attempt_and_holds_up_no_other_organisation(at: House):
    ids = [await at.producer.enqueue(limited_handlers.order, order(at, "big", str(n))) for n in range(30)]
    others = [await at.producer.enqueue(limited_handlers.order, order(at, f"small{n}")) for n in range(3)]
    async with worker(at, slots=1, module=MODULE), redis(at.server.url) as client:
        for job_id in others:
            await at.wait_state("ORDER", job_id, "completed")
        assert await at.state("ORDER", ids[0]) == "completed"
        limited = [await at.queue.find("ORDER", job_id) for job_id in ids[1:]]
        assert {(job.state, job.attempts_made) for job in limited if job} == {("delayed", 0)}
        turns = [int(await client.hget(f"bull:ORDER:{job_id}", "delay") or 0) for job_id in ids[1:]]
        assert turns == sorted(set(turns)), "each has a turn of its own, in their order"
        assert await at.letters.count_open() == 0
    assert [line.split()[1] for line in at.lines()] == ["big", "small0", "small1", "small2"]


async def test_a_job_that_comes_back_and_is_limited_again_still_has_its_first_attempt(at: House):
    first = await at.producer.enqueue(limited_handlers.order, order(at, "a", "first"))
    async with worker(at, slots=1, module=MODULE), redis(at.server.url) as client:
        await at.wait_state("ORDER", first, "completed")
        second = await at.producer.enqueue(limited_handlers.order, order(at, "a", "second"))
        job = bullmq.Queue("ORDER", {"connection": client})

        async def limited_for_the(time: int) -> bool:
            taken = await client.hget(f"bull:ORDER:{second}", "ats") == str(time)
            return taken and await at.state("ORDER", second) == "delayed"

        for time in (1, 2, 3):
            await await_until(lambda: limited_for_the(time))  # noqa: B023
            if time == 3:
                await client.delete(*[key async for key in client.scan_iter("brama:rate:*")])
            await (await job.getJob(second)).promote()
        await at.wait_state("ORDER", second, "completed")
    assert at.lines() == ["1 a first", "1 a second"]


async def test_jobs_that_wait_for_a_turn_go_back_when_their_worker_ends(at: House):
    """Each has one call in its limit beside its start; the next is a minute away."""
    ids = {each.queue: await at.producer.enqueue(each, order(at, "a", each.name)) for each in CALLS}
    async with worker(at, module=MODULE) as process:
        await await_until(lambda: len(at.lines()) == 4)
        process.terminate()
        assert await process.wait() == 0
    for queue, job_id in ids.items():
        job = await at.queue.find(queue, job_id)
        assert job is not None
        assert (job.state, job.attempts_made) == ("delayed", 0)
    assert sorted(at.lines()) == ["1 CALL", "1 CALL_BLOCKING", "call 0 CALL", "call 0 CALL_BLOCKING"]


@pytest.mark.parametrize("job_type", [limited_handlers.hurry, limited_handlers.hurry_blocking])
async def test_a_wait_ends_with_the_attempts_time(at: House, job_type):
    job_id = await at.producer.enqueue(job_type, order(at, "a", "x"))
    async with worker(at, module=MODULE):
        await at.wait_state(job_type.queue, job_id, "failed")
    assert (await at.only_letter()).cause is Cause.TIMEOUT


async def test_a_limit_outlasts_its_worker_and_its_server(at: House):
    first = await at.producer.enqueue(limited_handlers.order, order(at, "a", "first"))
    async with worker(at, module=MODULE) as process:
        await at.wait_state("ORDER", first, "completed")
        process.kill()
    async with worker(at, module=MODULE):
        await kill_server(at.server)
        second = await at.producer.enqueue(limited_handlers.order, order(at, "a", "second"))
        other = await at.producer.enqueue(limited_handlers.order, order(at, "b", "other"))
        await at.wait_state("ORDER", other, "completed")
        await at.wait_state("ORDER", second, "delayed")
    assert at.lines() == ["1 a first", "1 b other"]


@asynccontextmanager
async def working(
    at: House, windows: tuple[Window, ...], queue: str
) -> AsyncIterator[list[tuple[str, Outcome]]]:
    """Work as a worker does, in this process, with windows shorter than a minute; list each taking."""
    limits, children = RateLimits(at.server.url, Rates()), Children([MODULE])
    limiter = limits.sliding("short", windows)
    types = load_types([MODULE])
    runner = Runner(types, children, at.letters, Results(at.producer), lambda _: limiter, pytest.fail)
    taken: list[tuple[str, Outcome]] = []

    async def process(job: TakenJob) -> Outcome:
        outcome = await runner.process(job)
        taken.append((job.job_id, outcome))
        return outcome

    async with consuming(at.server.url, process, queue=queue):
        yield taken
    await children.close()
    await limits.close()


@pytest.mark.parametrize("job_type", CALLS)
async def test_calls_in_mid_job_wait_in_place_and_go_on(at: House, job_type):
    windows = (Window(1, 900),)
    job_id = await at.producer.enqueue(job_type, order(at, "a", "x"))
    async with redis(at.server.url) as client, working(at, windows, job_type.queue) as taken:
        begun_s = await client.time()
        await at.wait_state(job_type.queue, job_id, "completed")
        ended_s = await client.time()
    assert taken == [(job_id, Completed("x"))], "it was taken once, and kept all the time"
    assert ended_s[0] + ended_s[1] / 1e6 - begun_s[0] - begun_s[1] / 1e6 >= 1.8
    assert at.lines() == ["1 x", "call 0 x", "call 1 x"]


async def test_threads_of_a_blocking_handler_wait_for_one_turn_each(at: House):
    job_id = await at.producer.enqueue(limited_handlers.call_in_threads, order(at, "a", "x"))
    async with working(at, (Window(2, 300),), "CALL_IN_THREADS"):
        await at.wait_state("CALL_IN_THREADS", job_id, "completed")
        again = await at.producer.enqueue(limited_handlers.call_in_threads, order(at, "a", "y"))
        await at.wait_state("CALL_IN_THREADS", again, "completed")
    assert Counter(line.split()[-1] for line in at.lines()) == {"x": 4, "y": 4}


@pytest.mark.timeout(180)
async def test_a_thousand_jobs_of_one_organisation_are_taken_about_twice_each(at: House):
    """With one slot, and without an organisation behind them waiting for their turns."""
    big = [
        await at.producer.enqueue(limited_handlers.order, order(at, "big", str(number)))
        for number in range(1000)
    ]
    small = [await at.producer.enqueue(limited_handlers.order, order(at, "small")) for _ in range(5)]
    async with working(at, (Window(100, 1800),), "ORDER") as taken:

        def done() -> int:
            return sum(isinstance(outcome, Completed) for _, outcome in taken)

        await at.wait_state("ORDER", small[-1], "completed", timeout_s=60)
        assert done() < 1000
        await await_until(lambda: done() == 1005, timeout_s=120)
    takes = Counter(job_id for job_id, _ in taken)
    assert [takes[job_id] for job_id in small] == [1] * 5
    assert sum(takes[job_id] for job_id in big) < 2500
    assert {line.split()[0] for line in at.lines()} == {"1"}
    waits = [outcome.wait_s for _, outcome in taken if isinstance(outcome, HandedBack)]
    assert len(set(waits)) > len(waits) * 0.5, "they are not told to come at one moment"
