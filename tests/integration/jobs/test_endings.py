"""Workers and servers that end in mid-job, and that nothing vanishes when they do."""

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from jobs.engine import server as server_module
from jobs.engine.programs import find_program
from jobs.engine.server import QueueServer
from jobs.policy.verdict import Cause
from tests.integration.jobs import handlers
from tests.integration.jobs.handlers import Work
from tests.integration.jobs.processes import House, house, worker
from tests.integration.jobs.stage import redis
from tests.waiting import await_until

QUEUES = ("SAY", "SAY_BLOCKING", "FAIL")
#: A worker that was told to end has ended after this time.
GONE_S = 35.0


async def test_a_terminated_worker_takes_no_new_job_and_ends_what_it_has(at: House):
    gate = at.state_dir / "gate"
    async with worker(at, slots=1) as process:
        first = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="a", gate=gate))
        await await_until(at.lines)
        process.terminate()
        log = at.state_dir / "worker.log"
        await await_until(lambda: "worker.draining" in log.read_text())
        second = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="b"))
        gate.touch()
        assert await process.wait() == 0
    assert await at.state("SAY", first) == "completed"
    assert await at.state("SAY", second) == "waiting"


async def test_what_a_terminated_worker_cannot_end_goes_back_without_spending_an_attempt(at: House):
    gate = at.state_dir / "gate"
    types = (handlers.say, handlers.say_blocking, handlers.obstinate)
    work = Work(journal=at.journal, text="long", gate=gate)
    ids = {job_type.queue: await at.producer.enqueue(job_type, work) for job_type in types}
    async with worker(at, slots=3) as process:
        await await_until(lambda: len(at.lines()) == 3)
        process.terminate()
        async with asyncio.timeout(GONE_S):  # whatever a handler does
            await process.wait()
        for queue, job_id in ids.items():
            job = await at.queue.find(queue, job_id)
            assert job is not None
            assert (job.state, job.attempts_made) == ("delayed", 0)
    gate.touch()
    async with worker(at, slots=3):
        for queue, job_id in ids.items():
            await at.wait_state(queue, job_id, "completed")
    assert [line.split()[0] for line in at.lines()].count("1") == 6


@pytest.mark.parametrize("job_type", [handlers.say, handlers.say_blocking])
async def test_a_killed_workers_job_is_resumed_elsewhere_within_20_seconds(at: House, job_type):
    work = Work(journal=at.journal, text="a", gate=at.state_dir / "gate")
    job_id = await at.producer.enqueue(job_type, work)
    async with worker(at) as first:
        await await_until(at.lines)
        async with worker(at):
            first.kill()
            await await_until(lambda: len(at.lines()) == 2, timeout_s=20)
            (at.state_dir / "gate").touch()
            await at.wait_state(job_type.queue, job_id, "completed")
    assert [line.split()[0] for line in at.lines()] == ["1", "1", "end"]


@pytest.mark.timeout(120)
async def test_a_job_that_kills_each_of_its_workers_is_given_up_while_others_go_on(at: House):
    """Of a type with one attempt, at its second stall."""
    deaths: list[int] = []

    async def replace_workers() -> None:
        while True:
            async with worker(at, slots=1) as process:
                deaths.append(await process.wait())

    workers = [asyncio.create_task(replace_workers()) for _ in range(2)]
    poison = [
        await at.producer.enqueue(handlers.poison, Work(journal=at.journal, text=text))
        for text in ("kill", "abort")
    ]
    harmless = [
        (job_type.queue, await at.producer.enqueue(job_type, Work(journal=at.journal, text=f"h{number}")))
        for number in range(10)
        for job_type in (handlers.poison, handlers.say, handlers.say_blocking)
    ]
    for queue, job_id in harmless:
        await at.wait_state(queue, job_id, "completed", timeout_s=60)
    for job_id in poison:
        await at.wait_state("POISON", job_id, "failed", timeout_s=90)
    after = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="after"))
    await at.wait_state("SAY", after, "completed")
    for each in workers:
        each.cancel()
    await asyncio.wait(workers)

    assert sorted(deaths) == [-signal.SIGKILL] * 2 + [-signal.SIGABRT] * 2
    begun = [line.split()[1] for line in at.lines() if line.startswith("1 ")]
    assert (begun.count("kill"), begun.count("abort")) == (2, 2)
    letters = await at.letters.latest()
    assert {letter.job_id for letter in letters} == set(poison)
    assert {(letter.cause, letter.attempt) for letter in letters} == {(Cause.STALLED, 1)}


async def test_a_worker_goes_on_when_its_server_comes_back(at: House):
    async with worker(at) as process:
        before = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="a"))
        await at.wait_state("SAY", before, "completed")
        await kill_server(at.server)
        after = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="b"))
        await at.wait_state("SAY", after, "completed")
        assert process.returncode is None


async def kill_server(server: QueueServer) -> None:
    """Kill the server, with all it has answered in its file, and return when the next one runs."""
    pid = server.pid
    assert pid is not None
    async with redis(server.url) as client:  # else it may hold answered writes back while a sync is under way
        await client.config_set("appendfsync", "always")

        async def has_written() -> bool:
            return bool((await client.info("persistence"))["aof_buffer_length"] == 0)

        await await_until(has_written)
    os.kill(pid, signal.SIGKILL)
    await await_until(lambda: server.pid not in (None, pid))
    await await_until(lambda: answers(server))


async def answers(server: QueueServer) -> bool:
    try:
        async with redis(server.url) as client:
            return bool(await client.ping())
    except Exception:
        return False


async def places(at: House) -> dict[str, list[str]]:
    """Return the ids of all jobs by where they are; a letter's job is in the engine as well."""
    found: dict[str, list[str]] = {"outbox": [job.job_id for _, job in await at.outbox.oldest(10_000)]}
    async with redis(at.server.url) as client:
        for queue in QUEUES:
            for name in ("wait", "active"):
                found.setdefault(name, []).extend(
                    map(str, await client.lrange(f"bull:{queue}:{name}", 0, -1))
                )
            for name in ("delayed", "prioritized", "completed", "failed"):
                found.setdefault(name, []).extend(
                    map(str, await client.zrange(f"bull:{queue}:{name}", 0, -1))
                )
    return found


@pytest.mark.timeout(240)
async def test_nothing_vanishes_while_workers_and_the_server_are_killed_under_load(
    tmp_path: Path, monkeypatch
):
    """Accepted = completed + dead-lettered + still queued, in mid-flight and at the end."""
    monkeypatch.setattr(server_module, "_FIRST_RESTART_S", 5.0)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    server = QueueServer(find_program(), tmp_path)
    await server.start()
    async with house(tmp_path, server) as at, AsyncExitStack() as stack:
        accepted: list[str] = []

        async def produce() -> None:
            for number in range(600):
                job_type = (handlers.say, handlers.say_blocking, handlers.fail)[number % 3]
                text = (
                    ("permanent", "once", "")[number // 3 % 3] if job_type is handlers.fail else str(number)
                )
                accepted.append(await at.producer.enqueue(job_type, Work(journal=at.journal, text=text)))
                await await_until(
                    lambda: len(at.lines()) > len(accepted) - 60 or not server.pid, timeout_s=60
                )

        flushing = asyncio.create_task(at.producer.run())
        workers = [await stack.enter_async_context(worker(at)) for _ in range(2)]
        producing = asyncio.create_task(produce())
        for round_ in range(4):
            seen = len(at.lines())
            await await_until(lambda: len(at.lines()) > seen + 40, timeout_s=60)  # noqa: B023
            if round_ == 2:
                back = asyncio.create_task(kill_server(server))
                await await_until(lambda: at.producer.degraded)
                await back
            else:
                workers.pop(dice.randrange(2)).kill()
                workers.append(await stack.enter_async_context(worker(at)))
        await producing
        for process in workers:
            assert process.returncode is None, "a worker ended by itself"
            process.kill()
            await process.wait()

        async def is_flushed() -> bool:  # what is on its way may be seen in two places, or in none
            return await at.outbox.count() == 0

        await await_until(is_flushed, timeout_s=60)
        found = await places(at)
        assert sorted(job_id for ids in found.values() for job_id in ids) == sorted(accepted)

        workers = [await stack.enter_async_context(worker(at)) for _ in range(2)]

        async def is_through() -> bool:
            found = await places(at)
            return not any(found[name] for name in ("outbox", "wait", "active", "delayed", "prioritized"))

        await await_until(is_through, timeout_s=120)
        flushing.cancel()
        found, letters = await places(at), await at.letters.latest(limit=10_000)
        dead = sorted(letter.job_id for letter in letters)
        assert dead == sorted(found["failed"])
        assert sorted(found["completed"] + dead) == sorted(accepted)
        assert len(found["completed"]) >= 400
    await server.stop()
