"""The producer's and the operator's side of BullMQ.

Runs in: master | command line | job worker.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import bullmq

from brama.clock import Clock, monotonic_s
from jobs.engine.connections import ANSWER_S, is_unavailable, producer_client
from jobs.engine.port import JobView, NewJob
from jobs.errors import EngineUnavailableError
from jobs.policy.limits import FULL_SHARE
from jobs.policy.texts import storable

#: The option of a job that holds its origin; BullMQ in Node carries options that it does not know along.
ORIGIN = "brama"
#: States in which a job has a result or an error.
_ENDS = ("completed", "failed")
#: For how long an answer about the server's memory is believed, in seconds.
_ROOM_BELIEVED_S = 1.0
_STATES = ("waiting", "prioritized", "waiting-children", "delayed", "active", "completed", "failed")


class BullQueue:
    """The ``JobQueue`` of one server.

    Args:
        url: redis://, rediss:// or unix://; connected to at the first call.
        prefix: of all keys; BullMQ's own is "bull".
        clock: monotonic seconds.
    """

    def __init__(self, url: str, *, prefix: str = "bull", clock: Clock = monotonic_s) -> None:
        self._client = producer_client(url)
        self._prefix = prefix
        self._clock = clock
        self._queues: dict[str, Any] = {}
        self._names_key = f"{prefix}:brama-queues"
        self._announced: set[str] = set()
        self._room_asked_at = float("-inf")
        self._full: str | None = None

    async def add(self, job: NewJob) -> None:
        """See JobQueue. A server that is nearly full counts as full: workers need the rest to drain it."""
        options: dict[str, Any] = {
            "jobId": job.job_id,
            "timestamp": job.created_utc_ms,
            "attempts": job.attempts,
        }
        if job.backoff_ms:
            options["backoff"] = {"type": "exponential", "delay": job.backoff_ms}
        if job.priority:
            options["priority"] = job.priority
        if job.delay_ms:
            options["delay"] = job.delay_ms
        if job.origin is not None:
            options[ORIGIN] = job.origin
        with _unavailable():
            async with asyncio.timeout(ANSWER_S):  # for all it takes: a server may hang at each step
                await self._add(job, options)

    async def _add(self, job: NewJob, options: dict[str, Any]) -> None:
        await self._check_room()
        if job.queue not in self._announced:
            await self._announce(job.queue)
        await self._queue(job.queue).add(job.name, job.data, options)

    async def find(self, queue: str, job_id: str) -> JobView | None:
        """See JobQueue."""
        with _unavailable():
            job = await self._queue(queue).getJob(job_id)
            if job is None:
                return None
            state = await job.getState()
            if state in _ENDS and not job.finishedOn:  # it ended between the two questions
                job = await self._queue(queue).getJob(job_id)
            return None if job is None else _view(queue, job, state)

    async def failed(self, queue: str, first: int, count: int) -> list[JobView]:
        """See JobQueue."""
        with _unavailable():
            jobs = await self._queue(queue).getFailed(first, first + count - 1)
        return [_view(queue, job, "failed") for job in jobs]

    async def announce(self, queues: Iterable[str]) -> None:
        """See JobQueue."""
        with _unavailable():
            await self._announce(*queues)

    async def queues(self) -> list[str]:
        """See JobQueue. They are in a set of ours: to look through all keys takes a server's time."""
        with _unavailable():
            return sorted(map(str, await self._client.smembers(self._names_key)))

    async def exists(self, queue: str) -> bool:
        """See JobQueue."""
        with _unavailable():
            return bool(await self._client.exists(self._queue(queue).toKey("meta")))

    async def has_workers(self, queue: str) -> bool:
        """Return whether a worker of any kind that is connected goes by the name of ``queue``."""
        with _unavailable():
            return bool(await self._queue(queue).get_workers_count())

    async def counts(self, queue: str) -> dict[str, int]:
        """See JobQueue. Older BullMQs keep what waits in a paused queue apart."""
        with _unavailable():
            found: dict[str, int] = await self._queue(queue).getJobCounts(*_STATES, "paused")
        found["waiting"] += found.pop("paused")
        return found

    async def retry(self, queue: str, job_id: str) -> bool:
        """See JobQueue. BullMQ by itself keeps the attempts and the stalls of a retried job."""
        with _unavailable():
            job = await self._queue(queue).getJob(job_id)
            if job is None or await job.getState() != "failed":
                return False
            await self._client.hdel(self._queue(queue).toKey(job_id), "stc", "defa")
            try:
                await job.retry("failed", {"resetAttemptsMade": True, "resetAttemptsStarted": True})
            except TypeError:  # BullMQ's way to say that somebody else was quicker
                return False
            return True

    async def remove(self, queue: str, job_id: str) -> None:
        """See JobQueue."""
        with _unavailable():
            await self._queue(queue).remove(job_id)

    async def pause(self, queue: str) -> None:
        """See JobQueue."""
        with _unavailable():
            await self._queue(queue).pause()

    async def resume(self, queue: str) -> None:
        """See JobQueue."""
        with _unavailable():
            await self._queue(queue).resume()

    async def is_paused(self, queue: str) -> bool:
        """See JobQueue."""
        with _unavailable():
            return bool(await self._queue(queue).isPaused())

    async def cap_concurrency(self, queue: str, limit: int | None) -> None:
        """See JobQueue."""
        with _unavailable():
            if limit is None:
                await self._queue(queue).removeGlobalConcurrency()
            else:
                await self._queue(queue).setGlobalConcurrency(limit)

    async def warning(self) -> str | None:
        """See JobQueue."""
        with _unavailable():
            policy = (await self._client.info("memory")).get("maxmemory_policy")
        if policy in (None, "noeviction"):
            return None
        return f"the Redis server drops keys when it is full (maxmemory-policy {policy}); set noeviction"

    async def close(self) -> None:
        """See JobQueue."""
        await self._client.aclose()

    def _queue(self, name: str) -> Any:
        if name not in self._queues:
            self._queues[name] = bullmq.Queue(name, {"connection": self._client, "prefix": self._prefix})
        return self._queues[name]

    async def _announce(self, *queues: str) -> None:
        await self._client.sadd(self._names_key, *queues)
        self._announced.update(queues)

    async def _check_room(self) -> None:
        now = self._clock()
        if now - self._room_asked_at >= _ROOM_BELIEVED_S:
            memory = await self._client.info("memory")
            used, limit = int(memory["used_memory"]), int(memory.get("maxmemory") or 0)
            self._full = f"{used} of {limit} bytes used" if limit and used > limit * FULL_SHARE else None
            self._room_asked_at = now
        if self._full:
            raise EngineUnavailableError(f"the Redis server is full: {self._full}")


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what redis-py raises while the server is away or full into an error of ours."""
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            raise EngineUnavailableError(f"the Redis server: {str(error) or type(error).__name__}") from error
        raise


def _view(queue: str, job: Any, state: str) -> JobView:
    return JobView(
        queue=queue,
        job_id=str(job.id),
        name=job.name,
        data=job.data,
        state=state,
        attempts_made=job.attemptsMade,
        progress=job.progress,
        result=job.returnvalue,
        error=job.failedReason or "",
        stack=storable(job.stacktrace[-1]) if job.stacktrace else "",
        created_utc_ms=job.timestamp,
        finished_utc_ms=job.finishedOn or 0,
        origin=job.opts.get(ORIGIN),
    )
