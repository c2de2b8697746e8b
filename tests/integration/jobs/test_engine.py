"""The engine with a real server: what a job goes through, and BullMQ's traps, which lose or double jobs."""

import asyncio

import bullmq
import pytest

from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.bullmq_worker import BullConsumer
from jobs.engine.connections import worker_client
from jobs.engine.port import Completed, Failed, HandedBack, Retried, TakenJob
from jobs.engine.server import QueueServer
from jobs.engine.slots import Slots
from jobs.errors import EngineUnavailableError
from jobs.policy.limits import COMPLETED_KEPT, LOCK_S
from tests.integration.jobs.stage import QUEUE, Processing, consuming, new_job, redis, stopped
from tests.ports import free_port
from tests.waiting import await_until


async def in_state(queue: BullQueue, job_id: str, state: str) -> bool:
    job = await queue.find(QUEUE, job_id)
    return job is not None and job.state == state


async def test_a_job_completes_with_its_result(server: QueueServer, queue: BullQueue):
    await queue.add(new_job("a", {"page": 1}))
    process = Processing(Completed({"ok": True}))
    async with consuming(server.url, process):
        await await_until(lambda: in_state(queue, "a", "completed"))
    job = await queue.find(QUEUE, "a")
    assert job is not None
    assert (job.result, job.attempts_made) == ({"ok": True}, 1)
    assert [(taken.name, taken.data, taken.attempt) for taken in process.taken] == [
        ("REPORT", {"page": 1}, 1)
    ]


async def test_an_attempt_that_failed_is_followed_by_another_and_hand_back_spends_none(
    server: QueueServer, queue: BullQueue
):
    await queue.add(new_job("a"))
    process = Processing(HandedBack(), Retried(0.0, "first", "stack 1"), Failed("second", "stack 2"))
    async with consuming(server.url, process):
        await await_until(lambda: in_state(queue, "a", "failed"))
    job = await queue.find(QUEUE, "a")
    assert job is not None
    assert [taken.attempt for taken in process.taken] == [1, 1, 2]
    assert (job.error, job.stack, job.attempts_made) == ("second", "stack 2", 2)


async def test_a_job_whose_id_is_known_is_added_once(server: QueueServer, queue: BullQueue):
    for data in (1, 2):
        await queue.add(new_job("a", data))
    assert (await queue.counts(QUEUE))["waiting"] == 1


async def test_priority_goes_before_age(server: QueueServer, queue: BullQueue):
    for job_id, priority in (("last", 9), ("second", 2), ("first", 0)):
        await queue.add(new_job(job_id, priority=priority))
    process = Processing()
    async with consuming(server.url, process):
        await await_until(lambda: len(process.taken) == 3)
    assert [taken.job_id for taken in process.taken] == ["first", "second", "last"]


async def test_a_paused_queue_keeps_its_jobs(server: QueueServer, queue: BullQueue):
    await queue.pause(QUEUE)
    await queue.add(new_job("a"))
    process = Processing()
    async with consuming(server.url, process):
        async with consuming(server.url, other := Processing(), queue="others"):
            await queue.add(new_job("b"))
            assert not other.taken
        assert not process.taken
        await queue.resume(QUEUE)
        await await_until(lambda: len(process.taken) == 2)


async def test_progress_and_log_lines_are_kept(server: QueueServer, queue: BullQueue):
    async def process(job: TakenJob) -> Completed:
        await job.report_progress(50)
        await job.log("half")
        return Completed(None)

    await queue.add(new_job("a"))
    async with consuming(server.url, process):
        await await_until(lambda: in_state(queue, "a", "completed"))
    job = await queue.find(QUEUE, "a")
    assert job is not None
    assert job.progress == 50
    async with redis(server.url) as client:
        assert await client.lrange(f"bull:{QUEUE}:a:logs", 0, -1) == ["half"]


async def test_a_blocking_wait_longer_than_redis_pys_own_timeout_is_no_error(server: QueueServer):
    client = worker_client(server.url)
    try:
        assert await client.bzpopmin("nothing", 6) is None
    finally:
        await client.aclose()


async def test_a_job_is_started_when_its_delay_is_over(server: QueueServer, queue: BullQueue):
    process = Processing()
    async with consuming(server.url, process):
        await queue.add(new_job("a", delay_ms=400))
        assert await in_state(queue, "a", "delayed")
        await await_until(lambda: process.taken)


async def test_a_cancelled_error_out_of_a_job_does_not_end_the_worker(server: QueueServer, queue: BullQueue):
    taken = []

    async def process(job: TakenJob) -> Completed:
        taken.append(job.job_id)
        if job.job_id == "a":
            raise asyncio.CancelledError
        return Completed(None)

    await queue.add(new_job("a"))
    await queue.add(new_job("b"))
    async with consuming(server.url, process):
        await await_until(lambda: in_state(queue, "b", "completed"))
    assert taken == ["a", "b"]


async def test_a_failed_job_stays_whatever_its_producer_wanted(server: QueueServer, queue: BullQueue):
    async with redis(server.url) as client:
        theirs = bullmq.Queue(QUEUE, {"connection": client})
        await theirs.add("REPORT", {}, {"jobId": "a", "removeOnFail": True, "attempts": 1})
        async with consuming(server.url, Processing(Failed("no", ""))):
            await await_until(lambda: in_state(queue, "a", "failed"))


async def test_a_thousand_completed_jobs_are_kept(server: QueueServer, queue: BullQueue):
    for number in range(COMPLETED_KEPT + 5):
        await queue.add(new_job(f"j{number}"))
    process = Processing()
    async with consuming(server.url, process, slots=4) as consumer:
        await await_until(lambda: len(process.taken) == COMPLETED_KEPT + 5 and not consumer.processing)
    assert (await queue.counts(QUEUE))["completed"] == COMPLETED_KEPT
    assert await queue.find(QUEUE, "j0") is None


async def test_a_queue_may_keep_completed_jobs_longer_however_many(server: QueueServer, queue: BullQueue):
    for number in range(COMPLETED_KEPT + 5):
        await queue.add(new_job(f"j{number}"))
    process = Processing()
    async with consuming(server.url, process, slots=4, keep_s=86400) as consumer:
        await await_until(lambda: len(process.taken) == COMPLETED_KEPT + 5 and not consumer.processing)
    assert (await queue.counts(QUEUE))["completed"] == COMPLETED_KEPT + 5


async def test_the_cap_on_concurrency_holds_over_all_workers(server: QueueServer, queue: BullQueue):
    await queue.cap_concurrency(QUEUE, 1)
    now, most = 0, 0

    async def process(job: TakenJob) -> Completed:
        nonlocal now, most
        now += 1
        most = max(most, now)
        async with redis(server.url) as client:
            await client.ping()
        now -= 1
        return Completed(None)

    for number in range(6):
        await queue.add(new_job(f"j{number}"))
    async with (
        consuming(server.url, process, slots=2, capped=True),
        consuming(server.url, process, slots=2, capped=True),
    ):
        await await_until(lambda: in_state(queue, "j5", "completed"))
    assert most == 1


async def test_a_rate_limited_queue_goes_on_by_itself(server: QueueServer, queue: BullQueue):
    async with redis(server.url) as client:
        await bullmq.Queue(QUEUE, {"connection": client}).setGlobalRateLimit(1, 300)
    for number in range(3):
        await queue.add(new_job(f"j{number}"))
    process = Processing()
    async with consuming(server.url, process):
        await await_until(lambda: len(process.taken) == 3)


async def test_slots_are_shared_by_the_queues_of_a_process(server: QueueServer, queue: BullQueue):
    slots = Slots(1)
    process = Processing()
    for number in range(4):
        await queue.add(new_job(f"j{number}"))
        job = new_job(f"j{number}")
        await queue.add(type(job)("others", job.job_id, job.name, None, job.created_utc_ms))
    consumers = [
        BullConsumer(name, process, server.url, slots=slots, max_stalls=1) for name in (QUEUE, "others")
    ]
    running = [asyncio.create_task(consumer.run()) for consumer in consumers]
    await await_until(lambda: len(process.taken) == 8)
    for consumer in consumers:
        await consumer.close()
    await asyncio.gather(*running)
    assert process.most_at_once == 1


async def test_a_busy_queue_gives_its_only_slot_to_another_queue_that_wants_it(
    server: QueueServer, queue: BullQueue
):
    slots, order = Slots(1), list[str]()

    async def process(job: TakenJob) -> Completed:
        order.append(job.queue)
        if len(order) == 1:
            other = new_job("other")
            await queue.add(type(other)("others", "other", other.name, None, other.created_utc_ms))
            await await_until(lambda: slots.are_wanted_beside(QUEUE))
        return Completed(None)

    for number in range(20):
        await queue.add(new_job(f"j{number}"))
    async with (
        consuming(server.url, process, slots=slots),
        consuming(server.url, process, slots=slots, queue="others"),
    ):
        await await_until(lambda: len(order) == 21)
    assert order.index("others") <= 2


async def test_a_job_that_comes_with_the_end_of_another_is_handed_back_by_a_worker_that_pauses(
    server: QueueServer, queue: BullQueue
):
    for number in range(50):
        await queue.add(new_job(f"j{number}"))
    process = Processing()
    async with consuming(server.url, process, slots=4) as consumer:
        await await_until(lambda: process.taken)
        await consumer.pause()
    counts = await queue.counts(QUEUE)
    assert counts["active"] == 0
    assert counts["completed"] == len(process.taken) == 50 - counts["waiting"] - counts["delayed"]


async def test_a_worker_that_ends_leaves_no_job_active(server: QueueServer, queue: BullQueue):
    started, may_end = asyncio.Event(), asyncio.Event()

    async def process(job: TakenJob) -> HandedBack:
        started.set()
        await may_end.wait()
        return HandedBack()

    for job_id in ("a", "b"):
        await queue.add(new_job(job_id))
    async with consuming(server.url, process) as consumer:
        await started.wait()
        await consumer.pause()
        may_end.set()
    counts = await queue.counts(QUEUE)
    assert (counts["active"], counts["waiting"] + counts["delayed"]) == (0, 2)


async def test_a_worker_that_ends_asks_its_server_for_nothing(server: QueueServer):
    """While the server is away there would be no end to the asking."""
    async with consuming(server.url, Processing()) as consumer:
        await await_until(lambda: consumer.waiting is not None)
        with stopped(server):
            await asyncio.wait_for(consumer.close(), 5)


async def test_a_job_that_was_taken_anew_keeps_its_lock_when_the_first_take_ends(
    server: QueueServer, queue: BullQueue
):
    may_end = [asyncio.Event(), asyncio.Event()]
    tokens: list[str] = []

    async def process(job: TakenJob) -> Completed:
        tokens.append(consumer.lockManager.tracked_jobs[job.job_id]["token"])
        await may_end[len(tokens) - 1].wait()
        return Completed(None)

    await queue.add(new_job("a"))
    async with consuming(server.url, process, slots=2) as consumer, redis(server.url) as client:
        await await_until(lambda: tokens)
        await client.delete(f"bull:{QUEUE}:a:lock")  # as if it had run out, and the stalled check had come by
        await client.lmove(f"bull:{QUEUE}:active", f"bull:{QUEUE}:wait")
        await client.zadd(f"bull:{QUEUE}:marker", {"0": 0})
        await await_until(lambda: len(tokens) == 2)
        may_end[0].set()
        await await_until(lambda: len(consumer.processing) == 1)
        assert consumer.lockManager.tracked_jobs["a"]["token"] == tokens[1]
        may_end[1].set()
        await await_until(lambda: not consumer.processing)
    assert await in_state(queue, "a", "completed")


async def test_locks_are_renewed_while_a_paused_worker_ends_its_jobs(server: QueueServer, queue: BullQueue):
    """BullMQ's own close stops renewing when the first of two jobs is through."""
    started: list[str] = []
    first_may_end, second_may_end = asyncio.Event(), asyncio.Event()

    async def process(job: TakenJob) -> Completed:
        started.append(job.job_id)
        await (first_may_end if job.job_id == "a" else second_may_end).wait()
        return Completed(None)

    for job_id in ("a", "b"):
        await queue.add(new_job(job_id))
    async with consuming(server.url, process, slots=2) as consumer, redis(server.url) as client:
        await await_until(lambda: len(started) == 2)
        closing = asyncio.create_task(consumer.close())
        first_may_end.set()
        await await_until(lambda: in_state(queue, "a", "completed"))
        key = f"bull:{QUEUE}:b:lock"
        left = await client.pttl(key)
        await await_until(lambda: _grew(client, key, left))
        second_may_end.set()
        await closing
    assert await in_state(queue, "b", "completed")


async def _grew(client, key: str, left: int) -> bool:
    now: int = await client.pttl(key)
    assert now > 0, "the lock ran out"
    return now > left and now > (LOCK_S - 2) * 1000


async def test_a_retried_job_begins_with_all_its_attempts_and_stalls(server: QueueServer, queue: BullQueue):
    await queue.add(new_job("a", attempts=2))
    process = Processing(Retried(0.0, "no", ""), Failed("no", ""))
    async with consuming(server.url, process), redis(server.url) as client:
        await await_until(lambda: in_state(queue, "a", "failed"))
        await client.hset(f"bull:{QUEUE}:a", "stc", 7)
        assert await queue.retry(QUEUE, "a")
        await await_until(lambda: in_state(queue, "a", "completed"))
        assert not await queue.retry(QUEUE, "a"), "it is not among the failed"
    assert [(taken.attempt, taken.stalls) for taken in process.taken] == [(1, 0), (2, 0), (1, 0)]


async def test_a_job_that_stalled_out_is_handed_to_the_process(server: QueueServer, queue: BullQueue):
    async with redis(server.url) as client:
        lost = bullmq.Worker(QUEUE, None, {"connection": client, "lockDuration": 1})
        await queue.add(new_job("a"))
        assert await lost.moveToActive("token")
        await client.hset(f"bull:{QUEUE}:a", "stc", 1)
        process = Processing(Failed("given up", ""))
        async with consuming(server.url, process, max_stalls=1):
            await await_until(lambda: in_state(queue, "a", "failed"), timeout_s=30)
    assert process.taken[0].given_up == "job stalled more than allowable limit"


async def test_data_that_is_no_json_reaches_the_process_as_text(server: QueueServer, queue: BullQueue):
    await queue.add(new_job("a"))
    process = Processing(Failed("bad", ""))
    async with redis(server.url) as client:
        await client.hset(f"bull:{QUEUE}:a", "data", "{torn")
    async with consuming(server.url, process):
        await await_until(lambda: process.taken)
    assert process.taken[0].data == "{torn"


async def test_an_outcome_that_cannot_be_made_true_leaves_the_job_to_the_next_worker(
    server: QueueServer, queue: BullQueue
):
    """BullMQ's own worker fails the job with the error of the move."""

    async def process(job: TakenJob) -> Completed:
        return Completed(float("nan"))

    await queue.add(new_job("a", attempts=1))
    async with consuming(server.url, process) as consumer:
        await await_until(lambda: in_state(queue, "a", "active"))
        await await_until(lambda: not consumer.processing)
        assert await in_state(queue, "a", "active")


async def test_a_producer_asks_once_and_then_knows():
    accepted, port = 0, free_port()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", port):
        queue = BullQueue(f"redis://127.0.0.1:{port}")
        with pytest.raises(EngineUnavailableError):
            await queue.add(new_job("a"))
        await queue.close()
    assert accepted == 1


async def test_a_server_that_is_away_is_one_error(tmp_path):
    queue = BullQueue(f"unix://{tmp_path}/none")
    with pytest.raises(EngineUnavailableError, match="the Redis server"):
        await queue.counts(QUEUE)
    await queue.close()


async def test_a_full_server_refuses_producers_while_workers_drain_it(server: QueueServer, queue: BullQueue):
    text = "x" * 100_000
    await queue.add(new_job("a", text))
    async with redis(server.url) as client:
        used = (await client.info("memory"))["used_memory"]
        await client.config_set("maxmemory", round(used * 1.15))
    full = BullQueue(server.url)
    with pytest.raises(EngineUnavailableError, match="full"):
        await full.add(new_job("b", text))
    await full.close()
    async with consuming(server.url, Processing(Completed(None))):
        await await_until(lambda: in_state(queue, "a", "completed"))


async def test_a_server_that_refuses_to_store_is_unavailable_not_wrong(server: QueueServer, queue: BullQueue):
    await queue.add(new_job("a"))
    async with redis(server.url) as client:
        await client.config_set("maxmemory", 1)
    with pytest.raises(EngineUnavailableError, match="maxmemory"):
        await queue.add(new_job("b"))


async def test_an_eviction_policy_that_loses_jobs_is_warned_about(server: QueueServer, queue: BullQueue):
    assert await queue.warning() is None
    async with redis(server.url) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
    assert "maxmemory-policy allkeys-lru" in (await queue.warning() or "")
