"""What operators do with queues and dead letters, on a real server."""

import asyncio
from dataclasses import replace

import pytest

from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.port import Failed
from jobs.errors import EngineUnavailableError, NoSuchJobError
from jobs.letters import Reconciler
from jobs.operations import JobOperations, QueueView
from jobs.policy.verdict import Cause
from jobs.results import Results, result_queue
from jobs.storage.dead_letters import DeadLetter
from tests.integration.jobs.processes import House
from tests.integration.jobs.stage import QUEUE, Processing, consuming, new_job, redis
from tests.waiting import await_until

LETTER = DeadLetter(QUEUE, "a", 3, "REPORT", Cause.ERROR, "no", "stack", {"page": 1}, 1.5, 2.5)


@pytest.fixture
def jobs(at: House) -> JobOperations:
    return JobOperations(at.queue, at.letters, at.outbox, ["planned"])


async def page(jobs: JobOperations, **more):
    wanted = {
        "queue": None, "name": None, "cause": None, "include_resolved": False, "limit": 100, "before": None,
    }  # fmt: skip
    return await jobs.letters(**wanted | more)


async def bury(at: House, *job_ids: str, **more) -> list[int]:
    """Write letters without jobs; return their ids."""
    for job_id in job_ids:
        await at.letters.record(replace(LETTER, job_id=job_id, **more))
    return [letter.letter_id for letter in reversed(await at.letters.page(limit=len(job_ids)))]


async def test_queues_are_those_configured_used_buried_and_kept(at: House, jobs: JobOperations):
    await at.queue.add(new_job("a"))
    await at.queue.add(new_job("b", priority=2))
    await at.queue.add(new_job("c", delay_ms=3_600_000))
    await bury(at, "x", queue="of-a-letter")
    await at.outbox.append(replace(new_job("d"), queue="of-the-outbox"))
    await at.queue.add(replace(new_job("e"), queue=result_queue("a-master")))
    async with redis(at.server.url) as client:
        await client.rpush(f"bull:{QUEUE}:paused", "set-aside-by-an-older-bullmq")
    found = {each.name: each for each in await jobs.queues()}
    assert sorted(found) == ["of-a-letter", "of-the-outbox", "planned", QUEUE]
    assert found[QUEUE] == QueueView(QUEUE, 3, 0, 1, 0, 0, False, 0, 0)
    assert found["of-a-letter"].dead_letters == 1
    assert found["of-the-outbox"].outbox == 1


async def test_a_queue_that_only_a_worker_knows_is_known(at: House, jobs: JobOperations):
    other = BullQueue(at.server.url)
    await other.announce(["watched"])
    await other.close()
    assert [each.name for each in await jobs.queues()] == ["planned", "watched"]


async def test_letters_are_chosen_and_paged(at: House, jobs: JobOperations):
    first, second, third = await bury(at, "a", "b", "c")
    (other,) = await bury(at, "d", queue="other", name="OTHER", cause=Cause.TIMEOUT)
    assert [each.letter_id for each in await page(jobs)] == [other, third, second, first]
    assert [each.letter_id for each in await page(jobs, limit=2, before=third)] == [second, first]
    for chosen in ({"queue": "other"}, {"name": "OTHER"}, {"cause": "timeout"}):
        assert [each.letter_id for each in await page(jobs, **chosen)] == [other]
    await jobs.resolve([other], "seen")
    assert await page(jobs, queue="other") == []
    (closed,) = await page(jobs, queue="other", include_resolved=True)
    assert (closed.note, closed.size_bytes) == ("seen", len('{"page": 1}'))
    assert not hasattr(closed, "payload")
    with pytest.raises(NoSuchJobError, match="causes are error, permanent, timeout"):
        await page(jobs, cause="typo")


async def test_a_retry_says_of_each_letter_what_came_of_it(at: House, jobs: JobOperations):
    await at.queue.add(new_job("waits"))
    ids = await bury(at, "forgotten", "waits")
    tally = await jobs.retry([*ids, *ids])
    assert tally.count == 1
    assert tally.problems == (f"letter {ids[1]}: job waits is waiting, there is nothing to retry",)
    assert await at.state(QUEUE, "forgotten") == "waiting"
    assert [each.letter_id for each in await page(jobs)] == [ids[1]]


async def test_of_two_who_retry_a_job_at_once_one_is_told_that_it_waits(at: House, jobs: JobOperations):
    (letter,) = await bury(at, "a")
    async with consuming(at.server.url, Processing(Failed("no", ""))):
        await at.queue.add(new_job("a"))
        await at.wait_state(QUEUE, "a", "failed")
    both = await asyncio.gather(*(jobs.retry([letter]) for _ in range(2)))
    assert sorted(tally.count for tally in both) == [0, 1]
    assert (await at.queue.counts(QUEUE))["waiting"] == 1


async def test_a_stack_that_node_has_cut_within_a_character_gets_its_letter(at: House, jobs: JobOperations):
    async with consuming(at.server.url, Processing(Failed("no", "stack"))), redis(at.server.url) as client:
        await at.queue.add(new_job("a"))
        await at.wait_state(QUEUE, "a", "failed")
        await client.hset(f"bull:{QUEUE}:a", "stacktrace", '["cut \\ud83d"]')
    assert await Reconciler(at.queue, at.letters, Results(at.producer), [QUEUE]).look() == 1
    assert (await at.only_letter()).stack == "cut \\ud83d"


async def test_nothing_is_done_if_one_of_the_letters_does_not_exist(at: House, jobs: JobOperations):
    (letter,) = await bury(at, "a")
    for step in (jobs.retry([letter, 99]), jobs.resolve([98, letter, 99], "no")):
        with pytest.raises(NoSuchJobError, match=r"no dead letter (98, )?99; nothing was done"):
            await step
    assert await at.letters.count_open() == 1
    assert await at.state(QUEUE, "a") is None


async def test_what_needs_only_the_table_works_while_the_server_is_away(at: House, jobs: JobOperations):
    first, second = await bury(at, "a", "b")
    await at.server.stop()
    assert len(await page(jobs)) == 2
    assert (await jobs.letter(first)) is not None
    assert (await jobs.resolve([first], "by hand")).count == 1
    for step in (
        jobs.queues(),
        jobs.retry([second]),
        jobs.pause(QUEUE),
        jobs.job(QUEUE, "a"),
        jobs.clean(-1),
    ):
        with pytest.raises(EngineUnavailableError):
            await step
    assert await at.letters.count_open() == 1


async def test_a_retry_that_loses_the_server_halfway_says_how_far_it_came(at: House, jobs: JobOperations):
    ids = await bury(at, "a", "b", "c")

    class Leaving(BullQueue):
        async def add(self, job):
            await super().add(job)
            await at.server.stop()

    leaving = Leaving(at.server.url)
    tally = await JobOperations(leaving, at.letters, at.outbox).retry(ids)
    assert tally.count == 1
    assert len(tally.problems) == 1
    assert tally.problems[0].endswith("; 2 letters were not looked at")
    await leaving.close()


async def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(at: House, jobs: JobOperations):
    await at.queue.add(new_job("a"))
    await jobs.pause(QUEUE)
    await at.queue.add(new_job("b"))
    process = Processing()
    async with consuming(at.server.url, process):
        await at.queue.add(replace(new_job("c"), queue="other"))
        async with consuming(at.server.url, Processing(), queue="other"):
            await at.wait_state("other", "c", "completed")
        (view,) = [each for each in await jobs.queues() if each.name == QUEUE]
        assert (view.is_paused, view.waiting, process.taken) == (True, 2, [])
        await jobs.resume(QUEUE)
        await await_until(lambda: len(process.taken) == 2)
    assert not await at.queue.is_paused(QUEUE)


async def test_a_queue_that_nobody_knows_is_not_paused(at: House, jobs: JobOperations):
    with pytest.raises(NoSuchJobError, match='no queue is named "reprots"; there are planned'):
        await jobs.pause("reprots")
    assert not await at.queue.exists("reprots")
    async with redis(at.server.url) as client:
        await client.hset("bull:of-node:meta", "opts.maxLenEvents", 10_000)
    await jobs.pause("of-node")


async def test_clean_forgets_what_was_resolved_and_no_job_that_died_again(at: House, jobs: JobOperations):
    (first,) = await bury(at, "a")
    await jobs.resolve([first], "seen")
    await bury(at, "a", attempt=1)
    await bury(at, "b")
    async with consuming(at.server.url, Processing(Failed("no", ""), Failed("no", ""))):
        for job_id in ("a", "b"):
            await at.queue.add(new_job(job_id))
            await at.wait_state(QUEUE, job_id, "failed")
    assert await jobs.clean(3600) == (0, False)
    assert await jobs.clean(-1) == (1, False)
    assert [each.job_id for each in await page(jobs, include_resolved=True)] == ["b", "a"]
    assert await at.state(QUEUE, "a") == "failed"
