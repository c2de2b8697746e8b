"""What a real worker process does with each kind of job and each kind of failure."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import bullmq
import psutil
import pytest

from jobs.engine.port import NewJob
from jobs.errors import NoSuchJobError
from jobs.letters import Reconciler, clean, resolve, retry
from jobs.policy.verdict import Cause
from jobs.results import Results
from jobs.storage.dead_letters import DeadLetter
from tests.integration.jobs import handlers
from tests.integration.jobs.handlers import Work
from tests.integration.jobs.processes import House, worker
from tests.integration.jobs.stage import alive, redis
from tests.waiting import await_until

Running = asyncio.subprocess.Process


@pytest.fixture
async def running(at: House) -> AsyncIterator[Running]:
    async with worker(at) as process:
        yield process


@pytest.mark.parametrize("job_type", [handlers.say, handlers.say_blocking])
async def test_a_job_is_run_and_its_result_kept(at: House, running: Running, job_type):
    job_id = await at.producer.enqueue(job_type, Work(journal=at.journal, text="hello"))
    await at.wait_state(job_type.queue, job_id, "completed")
    job = await at.queue.find(job_type.queue, job_id)
    assert job is not None
    assert (job.result, job.progress) == ({"said": "hello"}, 50)
    async with redis(at.server.url) as client:
        assert await client.lrange(f"bull:{job_type.queue}:{job_id}:logs", 0, -1) == ["saying hello"]


async def test_a_blocking_handler_longer_than_the_lock_runs_once(at: House, running: Running):
    """In the event loop it would keep the lock from being renewed, and a second worker would take the job."""
    open_gate = at.state_dir / "gate"
    work = Work(journal=at.journal, text="long", gate=open_gate)
    job_id = await at.producer.enqueue(handlers.say_blocking, work)
    async with worker(at), redis(at.server.url) as client:
        lock = f"bull:SAY_BLOCKING:{job_id}:lock"
        renewed: list[int] = []

        async def outlived() -> bool:
            """Whether the lock was renewed four times, which takes as long as it lasts."""
            left: int = await client.pttl(lock)
            if not renewed or left > renewed[-1]:
                renewed.append(left)
            renewed[-1] = left
            return len(renewed) > 4

        await await_until(outlived, timeout_s=40)
        open_gate.touch()
        await at.wait_state("SAY_BLOCKING", job_id, "completed")
    assert [line.split()[0] for line in at.lines()] == ["1", "end"]


@pytest.mark.parametrize(
    ("job_type", "text", "attempts", "cause", "error"),
    [
        (handlers.fail, "", 3, Cause.ERROR, "ValueError: no good"),
        (handlers.fail, "permanent", 1, Cause.PERMANENT, "PermanentError: never"),
        (handlers.fail, "half", 1, Cause.PERMANENT, "PermanentError: no file \\udcff"),
        (handlers.fail, "cancelled", 3, Cause.ERROR, "CancelledError"),
        (handlers.fail, "exit", 3, Cause.ERROR, "SystemExit: 3"),
        (handlers.fail, "result", 1, Cause.BAD_RESULT, "said: Field required"),
        (handlers.fail_blocking, "", 2, Cause.ERROR, "ValueError: no good"),
        (handlers.fail_blocking, "permanent", 1, Cause.PERMANENT, "PermanentError: never"),
        (handlers.fail_blocking, "exit", 2, Cause.ERROR, "SystemExit: 3"),
        (handlers.fail_blocking, "killed", 2, Cause.ERROR, "the handler's process ended (signal SIGKILL)"),
        (handlers.fail_blocking, "object", 1, Cause.BAD_RESULT, "cannot be written as JSON"),
        (handlers.overtime, "", 1, Cause.TIMEOUT, "longer than 0.2 s"),
        (handlers.overtime_blocking, "", 1, Cause.TIMEOUT, "longer than 1 s"),
    ],
)
async def test_a_job_that_fails_for_good_is_a_dead_letter(
    at: House, running: Running, job_type, text: str, attempts: int, cause: Cause, error: str
):
    work = Work(journal=at.journal, text=text)
    job_id = await at.producer.enqueue(job_type, work)
    await at.wait_state(job_type.queue, job_id, "failed")
    letter = await at.only_letter()
    assert (letter.job_id, letter.attempt, letter.cause) == (job_id, attempts, cause)
    assert error in letter.error
    assert letter.payload == work.model_dump(mode="json")
    assert len(at.lines()) == attempts
    if cause is Cause.ERROR and "ended" not in error:
        assert "in fail" in letter.stack
    assert running.returncode is None


async def test_what_works_at_a_later_attempt_is_completed(at: House, running: Running):
    job_id = await at.producer.enqueue(handlers.fail, Work(journal=at.journal, text="once"))
    await at.wait_state("FAIL", job_id, "completed")
    assert at.lines() == ["1 once", "2 once"]
    assert await at.letters.count_open() == 0


async def test_a_wait_that_was_asked_for_is_kept_to(at: House, running: Running):
    job_id = await at.producer.enqueue(handlers.fail, Work(journal=at.journal, text="later"))
    async with redis(at.server.url) as client:

        async def delay() -> int:
            return int(await client.hget(f"bull:FAIL:{job_id}", "delay") or 0)

        assert await await_until(delay) == 500


async def test_an_unknown_type_is_a_dead_letter(at: House, running: Running):
    await at.queue.add(NewJob("SAY", "a", "SHOUT", {"x": 1}, 0))
    await at.wait_state("SAY", "a", "failed")
    letter = await at.only_letter()
    assert (letter.cause, letter.name, letter.payload) == (Cause.UNKNOWN_TYPE, "SHOUT", {"x": 1})


@pytest.mark.parametrize("name", ["SAY", "SAY_BLOCKING"])
async def test_a_bad_payload_is_a_dead_letter_that_does_not_repeat_it(at: House, running: Running, name: str):
    payloads: list[object] = [None, {"text": "private"}, "torn", [1]]
    for number, payload in enumerate(payloads):
        await at.queue.add(NewJob(name, f"j{number}", name, payload, 0))
    for number, _ in enumerate(payloads):
        await at.wait_state(name, f"j{number}", "failed")
    letters = sorted(await at.letters.latest(), key=lambda letter: letter.job_id)
    assert [letter.payload for letter in letters] == payloads
    for letter in letters:
        assert letter.cause is Cause.BAD_PAYLOAD
        assert "private" not in letter.error


async def test_a_handler_that_takes_no_end_ends_with_its_worker(at: House, running: Running):
    job_id = await at.producer.enqueue(handlers.overtime, Work(journal=at.journal, text="obstinate"))
    await at.wait_state("OVERTIME", job_id, "failed")
    assert await running.wait() == 1


async def test_a_blocking_handler_is_killed_with_all_it_started_when_its_time_is_over(
    at: House, running: Running
):
    job_id = await at.producer.enqueue(handlers.overtime_blocking, Work(journal=at.journal))
    await at.wait_state("OVERTIME_BLOCKING", job_id, "failed")
    pid = int(at.lines()[0].split()[-1])
    await await_until(lambda: not alive(pid))


async def test_a_blocking_handler_dies_with_its_worker(at: House, running: Running):
    work = Work(journal=at.journal, text="long", gate=at.state_dir / "gate")
    await at.producer.enqueue(handlers.say_blocking, work)
    await await_until(at.lines)
    running.kill()
    pid = int(at.lines()[0].split()[-1])
    await await_until(lambda: not alive(pid))


async def test_a_blocked_loop_ends_its_worker_and_the_job_is_given_up_after_its_attempts(
    at: House, running: Running
):
    job_id = await at.producer.enqueue(handlers.block_loop, Work(journal=at.journal))
    assert await running.wait() == -signal.SIGKILL
    async with worker(at) as second:
        assert await second.wait() == -signal.SIGKILL
    async with worker(at):
        await at.wait_state("BLOCK_LOOP", job_id, "failed")
    letter = await at.only_letter()
    assert (letter.cause, letter.attempt) == (Cause.STALLED, 1)
    assert len(at.lines()) == 2


async def test_a_dead_letter_that_was_written_is_not_run_again_when_its_worker_dies(at: House):
    """The worker died between writing the letter and telling the engine."""
    async with redis(at.server.url) as client:
        lost = bullmq.Worker("FAIL", None, {"connection": client, "lockDuration": 1})
        job_id = await at.producer.enqueue(handlers.fail, Work(journal=at.journal, text="once"))
        assert await lost.moveToActive("token")
        letter = DeadLetter("FAIL", job_id, 1, "FAIL", Cause.PERMANENT, "never", "", {}, 0.0, 1.0)
        await at.letters.record(letter)
        async with worker(at):
            await at.wait_state("FAIL", job_id, "failed")
    assert at.lines() == []
    assert (await at.only_letter()).error == "never"


async def test_a_letter_is_retried_resolved_and_cleaned(at: House, running: Running):
    job_id = await at.producer.enqueue(handlers.fail, Work(journal=at.journal))
    await at.wait_state("FAIL", job_id, "failed")
    first = await at.only_letter()
    await retry(at.queue, at.letters, first.letter_id)
    await await_until(lambda: len(at.lines()) == 6)
    await at.wait_state("FAIL", job_id, "failed")
    again = await at.only_letter()
    assert (again.attempt, again.letter_id) == (3, first.letter_id), "it died again, and is open again"
    await resolve(at.letters, again.letter_id, "a test's")
    assert await at.letters.count_open() == 0
    with pytest.raises(NoSuchJobError, match="resolved already"):
        await resolve(at.letters, again.letter_id, "twice")
    assert await Reconciler(at.queue, at.letters, Results(at.producer), ["FAIL"]).look() == 0
    assert await clean(at.queue, at.letters, 3600, 10) == 0
    assert await clean(at.queue, at.letters, -1, 10) == 1
    assert await at.state("FAIL", job_id) is None
    with pytest.raises(NoSuchJobError, match="there is none"):
        await retry(at.queue, at.letters, again.letter_id)


async def test_a_letter_is_retried_when_the_engine_has_forgotten_its_job(at: House, running: Running):
    gate = at.state_dir / "gate"
    work = Work(journal=at.journal, text="until", gate=gate).model_dump(mode="json")
    origin = {"reply_to": "replies", "extra": 7}
    await at.queue.add(NewJob("FAIL", "a", "FAIL", work, 1, origin=origin))
    await at.wait_state("FAIL", "a", "failed")
    await at.queue.remove("FAIL", "a")
    gate.touch()
    await retry(at.queue, at.letters, (await at.only_letter()).letter_id)
    await at.wait_state("FAIL", "a", "completed")
    assert (await at.queue.counts("replies"))["waiting"] == 2, "who asked is told of both ends"


async def test_jobs_that_others_failed_get_a_letter(at: House):
    async with redis(at.server.url) as client:
        theirs = bullmq.Worker("SAY", None, {"connection": client})
        await at.queue.add(NewJob("SAY", "a", "SAY", {"x": 1}, 5000))
        job = await theirs.moveToActive("token")
        await job.moveToFailed(bullmq.UnrecoverableError("theirs"), "token")
    reconciler = Reconciler(at.queue, at.letters, Results(at.producer), ["SAY", "FAIL"])
    assert await reconciler.look() == 1
    assert await reconciler.look() == 0
    letter = await at.only_letter()
    assert (letter.cause, letter.error, letter.created_utc) == (Cause.FOUND_FAILED, "theirs", 5.0)


async def test_a_worker_without_a_server_waits_for_it(at: House):
    pid = at.server.pid
    assert pid is not None
    psutil.Process(pid).suspend()
    async with worker(at) as process:
        psutil.Process(pid).resume()
        job_id = await at.producer.enqueue(handlers.say, Work(journal=at.journal))
        await at.wait_state("SAY", job_id, "completed")
        process.terminate()
        assert await process.wait() == 0


async def test_a_handler_that_lost_its_lock_is_ended_and_the_job_begun_again(at: House, running: Running):
    gate = at.state_dir / "gate"
    job_id = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="a", gate=gate))
    await await_until(at.lines)
    async with redis(at.server.url) as client:
        await client.delete(f"bull:SAY:{job_id}:lock")
    await await_until(lambda: len(at.lines()) == 2)
    gate.touch()
    await at.wait_state("SAY", job_id, "completed")
    assert [line.split()[0] for line in at.lines()] == ["1", "1", "end"]


async def test_a_worker_ends_while_its_server_is_away(at: House, running: Running):
    job_id = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="a"))
    await at.wait_state("SAY", job_id, "completed")
    await at.server.stop()
    running.terminate()
    assert await running.wait() == 0


async def test_a_number_of_slots_that_is_none_is_refused(at: House, monkeypatch):
    monkeypatch.setenv("WORKER_CONCURRENCY", "many")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jobs.worker", "--state-dir", at.state_dir, "json"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert b'--slots: "many" is not a number of jobs; write 1 or more' in said


async def test_modules_without_jobs_are_refused(at: House):
    async with worker(at, module="tests.ports") as process:
        assert await process.wait() == 78
    assert "has no job in it" in (at.state_dir / "worker.log").read_text()
