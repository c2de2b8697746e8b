"""A full disk: what cannot be stored is said to be so, and nothing that was accepted is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import bullmq
import pytest

from benchmarks.small_disk import SmallDisk
from jobs.engine.port import NewJob
from jobs.engine.server import QueueServer
from jobs.errors import NotAcceptedError
from jobs.policy.verdict import Cause
from tests.integration.jobs import handlers
from tests.integration.jobs.handlers import Work
from tests.integration.jobs.processes import House, house, worker
from tests.integration.jobs.stage import redis
from tests.waiting import await_until


@pytest.fixture
async def crowded(disk: SmallDisk, server: QueueServer) -> AsyncIterator[House]:
    """A house with its state on the small disk, and its server elsewhere."""
    async with house(disk.folder / "state", server) as opened:
        yield opened


async def enqueue_until_refused(at: House, journal: Path) -> tuple[list[str], NotAcceptedError]:
    """Return the ids of the jobs that were accepted, and how the first that was not was refused."""
    accepted: list[str] = []
    while True:
        work = Work(journal=journal, text=f"{len(accepted)} " + "x" * 3000)
        try:
            accepted.append(await at.producer.enqueue(handlers.say, work))
        except NotAcceptedError as error:
            return accepted, error


async def test_jobs_that_fit_nowhere_are_refused_and_those_accepted_are_delivered(
    crowded: House, disk: SmallDisk, server: QueueServer, tmp_path: Path
):
    at, journal = crowded, tmp_path / "journal"
    await server.stop()
    accepted = [await at.producer.enqueue(handlers.say, Work(journal=journal, text="first"))]
    disk.fill()
    more, refused = await enqueue_until_refused(at, journal)
    accepted += more
    assert str(refused).splitlines() == [
        f"job SAY: not taken over: {at.state_dir / 'jobs.db'}: the disk is full; make room on it"
    ]
    disk.free()
    accepted.append(await at.producer.enqueue(handlers.say, Work(journal=journal, text="second")))
    disk.fill()
    more, _ = await enqueue_until_refused(at, journal)
    accepted += more
    assert await at.outbox.count() == len(accepted)

    await server.start()
    running = asyncio.create_task(at.producer.run())
    async with redis(server.url) as client:

        async def are_delivered() -> bool:
            return int(await client.llen("bull:SAY:wait")) == len(accepted)

        await await_until(are_delivered)
        disk.free()

        async def goes_on() -> bool:
            return await at.outbox.count() == 0 and at.producer.degraded is None

        await await_until(goes_on)
        accepted.append(await at.producer.enqueue(handlers.say, Work(journal=journal, text="last")))
        assert [str(each) for each in await client.lrange("bull:SAY:wait", 0, -1)][::-1] == accepted
    running.cancel()


async def test_a_job_whose_letter_cannot_be_written_is_tried_again(
    crowded: House, disk: SmallDisk, tmp_path: Path
):
    at, journal = crowded, tmp_path / "journal"
    data = {"journal": str(journal), "text": "permanent", "ballast": "x" * 100_000}
    async with worker(at) as process, redis(at.server.url) as client:
        first = await at.producer.enqueue(handlers.say, Work(journal=journal, text="a"))
        await at.wait_state("SAY", first, "completed")
        disk.fill()
        await at.queue.add(NewJob("FAIL", "a", "FAIL", data, 0))
        await at.wait_state("FAIL", "a", "delayed")
        job = await bullmq.Job.fromId(bullmq.Queue("FAIL", {"connection": client}), "a")
        assert (job.attemptsMade, job.delay) == (0, 30_000)
        assert await at.letters.latest() == []

        # Others go on, though nothing can be written down.
        other = await at.producer.enqueue(handlers.say, Work(journal=journal, text="b"))
        await at.wait_state("SAY", other, "completed")

        disk.free()
        await job.promote()
        await at.wait_state("FAIL", "a", "failed")
        letter = await at.only_letter()
        assert (letter.cause, letter.attempt, letter.payload) == (Cause.PERMANENT, 1, data)
        assert process.returncode is None
    assert journal.read_text().splitlines().count("1 permanent") == 2
