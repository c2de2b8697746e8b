"""Producers while the server is away, full, or back."""

import asyncio
import resource
from pathlib import Path

import pytest

from jobs.author import connect, enqueue
from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.port import NewJob
from jobs.errors import EngineUnavailableError, NotAcceptedError
from jobs.policy.verdict import Cause
from jobs.producer import Producer
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox
from tests.integration.jobs import handlers
from tests.integration.jobs.handlers import Work
from tests.integration.jobs.processes import House, worker
from tests.integration.jobs.stage import redis, stopped
from tests.waiting import await_until


def work(at: House, text: str) -> Work:
    return Work(journal=at.journal, text=text)


async def waiting_ids(at: House) -> list[str]:
    """Return the ids of the queue SAY, oldest first."""
    async with redis(at.server.url) as client:
        return [str(job_id) for job_id in await client.lrange("bull:SAY:wait", 0, -1)][::-1]


async def test_jobs_wait_in_the_outbox_in_order_and_are_flushed_when_the_server_is_back(at: House):
    with stopped(at.server):
        ids = [await at.producer.enqueue(handlers.say, work(at, str(number))) for number in range(5)]
        assert await at.outbox.count() == 5
        assert at.producer.degraded
        await at.producer.flush()
        assert await at.outbox.count() == 5
    running = asyncio.create_task(at.producer.run())
    ids.append(await at.producer.enqueue(handlers.say, work(at, "last")))

    async def is_flushed() -> bool:
        return await at.outbox.count() == 0 and at.producer.degraded is None

    await await_until(is_flushed)
    ids.append(await at.producer.enqueue(handlers.say, work(at, "direct")))
    running.cancel()
    assert await waiting_ids(at) == ids


async def test_the_outbox_outlives_its_process(at: House):
    with stopped(at.server):
        job_id = await at.producer.enqueue(handlers.say, work(at, "kept"))
    database = Database(at.state_dir)
    next_one = Producer(at.queue, Outbox(database), DeadLetters(database))
    later = await next_one.enqueue(handlers.say, work(at, "later"))
    await next_one.flush()
    assert await waiting_ids(at) == [job_id, later], "what waits is not overtaken"
    database.close()


async def test_a_job_that_was_stored_and_not_heard_of_is_stored_once(at: House):
    with stopped(at.server):
        job_id = await at.producer.enqueue(handlers.say, work(at, "twice"))
    (number, job), *_ = await at.outbox.oldest(10)
    await at.queue.add(job)
    await at.producer.flush()
    assert await waiting_ids(at) == [job_id]
    assert number == 1


async def test_one_key_is_one_job_wherever_it_waits(at: House):
    with stopped(at.server):
        first = await at.producer.enqueue(handlers.say, work(at, "once"), key="k")
        assert await at.producer.enqueue(handlers.say, work(at, "once"), key="k") == first
        assert await at.outbox.count() == 1
    await at.producer.flush()
    assert await at.producer.enqueue(handlers.say, work(at, "once"), key="k") == first
    other = await at.producer.enqueue(handlers.say, work(at, "once"), key="l")
    assert other != first
    async with worker(at):
        for job_id in (first, other):
            await at.wait_state("SAY", job_id, "completed")
    assert await at.producer.enqueue(handlers.say, work(at, "once"), key="k") == first
    assert (await at.queue.counts("SAY"))["waiting"] == 0


async def test_a_full_server_is_no_error_for_producers(at: House):
    await at.queue.add(NewJob("OTHER", "a", "OTHER", "x" * 50_000, 0))
    async with redis(at.server.url) as client:
        await client.config_set("maxmemory", 1)
        await at.producer.enqueue(handlers.say, work(at, "kept"))
        assert await at.outbox.count() == 1
        await client.config_set("maxmemory", "256mb")
    fresh = BullQueue(at.server.url)
    producer = Producer(fresh, at.outbox, at.letters)
    await producer.flush()
    assert await at.outbox.count() == 0
    await fresh.close()


async def test_a_job_that_the_engine_refuses_holds_up_no_other(at: House):
    """Such as one that an older version of ours wrote."""

    class Picky(BullQueue):
        async def add(self, job: NewJob) -> None:
            if job.data["text"] == "bad":
                raise TypeError("refused")
            await super().add(job)

    with stopped(at.server):
        for text in ("bad", "good"):
            await at.producer.enqueue(handlers.say, work(at, text))
    picky = Picky(at.server.url)
    await Producer(picky, at.outbox, at.letters).flush()
    await picky.close()
    assert len(await waiting_ids(at)) == 1
    assert (await at.only_letter()).cause is Cause.REFUSED


async def test_a_job_that_nobody_can_store_is_not_accepted(at: House):
    """A disk that is full while the server is away: the caller is told, and nothing is half stored."""
    with stopped(at.server):
        await at.producer.enqueue(handlers.say, work(at, "first"))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (at.state_dir / "jobs.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(NotAcceptedError, match=r"SAY: not taken over: .*jobs\.db"):
                await at.producer.enqueue(handlers.say, work(at, "x" * 100_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await at.producer.enqueue(handlers.say, work(at, "second"))
    await at.producer.flush()
    assert len(await waiting_ids(at)) == 2


async def test_a_megabyte_goes_through(at: House):
    text = "ü" * 500_000
    with stopped(at.server):
        await at.producer.enqueue(handlers.say_blocking, work(at, text))
    await at.producer.flush()
    job_id = await at.producer.enqueue(handlers.say_blocking, work(at, text), key="k")
    async with worker(at):
        await at.wait_state("SAY_BLOCKING", job_id, "completed")
    job = await at.queue.find("SAY_BLOCKING", job_id)
    assert job is not None
    assert job.result == {"said": text}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"priority": -1}, "priority -1 is not"),
        ({"priority": 2**22}, "is not 0 to"),
        ({"delay": "soon"}, "duration"),
    ],
)
async def test_what_cannot_be_meant_is_refused(at: House, more: dict[str, object], error: str):
    with pytest.raises(ValueError, match=error):
        await at.producer.enqueue(handlers.say, work(at, "a"), **more)  # type: ignore[arg-type]


async def test_a_payload_is_checked_where_it_enters(at: House):
    with pytest.raises(TypeError, match="takes Work, not Done"):
        await at.producer.enqueue(handlers.say, handlers.Done(said="a"))  # type: ignore[misc]
    changed = work(at, "a")
    changed.text = 7  # type: ignore[assignment]
    with pytest.raises(ValueError, match="text"):
        await at.producer.enqueue(handlers.say, changed)


async def test_a_delayed_and_a_prior_job_keep_their_terms_in_the_outbox(at: House):
    with stopped(at.server):
        delayed = await at.producer.enqueue(handlers.say, work(at, "a"), delay="1h")
        prior = await at.producer.enqueue(handlers.say, work(at, "b"), priority=3)
    await at.producer.flush()
    assert await at.state("SAY", delayed) == "delayed"
    assert await at.state("SAY", prior) == "prioritized"


async def test_a_server_that_never_was_is_no_error_for_producers(tmp_path: Path):
    database = Database(tmp_path)
    queue = BullQueue(f"unix://{tmp_path}/none")
    outbox = Outbox(database)
    producer = Producer(queue, outbox, DeadLetters(database))
    await producer.enqueue(handlers.say, Work(journal=tmp_path))
    assert await outbox.count() == 1
    with pytest.raises(EngineUnavailableError):
        await queue.counts("SAY")
    await queue.close()
    database.close()


async def test_a_program_that_is_neither_bot_nor_worker_hands_jobs_over(at: House):
    with pytest.raises(RuntimeError, match=r"jobs\.author\.connect"):
        await enqueue(handlers.say, work(at, "too early"))
    async with connect(at.state_dir):
        first = await enqueue(handlers.say, work(at, "first"), key="one")
        with stopped(at.server):
            later = await enqueue(handlers.say, work(at, "later"), key="two")
    with pytest.raises(RuntimeError):
        await enqueue(handlers.say, work(at, "too late"))
    async with connect(at.state_dir, at.server.url):

        async def have_arrived() -> bool:
            return await waiting_ids(at) == [first, later]

        await await_until(have_arrived)
