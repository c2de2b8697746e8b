"""A worker's side of BullMQ.

Of ``bullmq.Worker`` we keep what takes jobs, renews locks and looks for stalled jobs, and put our own
``processJob`` in its place. Theirs has traps that cost jobs or run them twice:

- a CancelledError that leaves a processor ends the worker's loop for good;
- an error while a job is being moved counts as an error of the job, which may fail it for good;
- ``removeOnFail`` of the producer goes before the worker's, so a failed job may be gone at once;
- a job that stalled out fails without anything of ours being asked;
- ``close`` stops renewing locks when the first of several jobs in hand is through;
- ``close(force)`` leaves the jobs in hand active.

Runs in: job worker.
"""

import asyncio
import json
from typing import Any

import bullmq
from redis.exceptions import RedisError

from brama.clock import utc_s
from brama.log import get_logger
from jobs.engine.bullmq_queue import ORIGIN
from jobs.engine.connections import is_unavailable, worker_client
from jobs.engine.port import Completed, Failed, HandedBack, Outcome, Process, Retried
from jobs.policy import limits

log = get_logger(__name__)

_COMPLETED_KEPT = {"count": limits.COMPLETED_KEPT, "age": limits.COMPLETED_KEPT_S}
_FAILED_KEPT = {"count": limits.FAILED_KEPT, "age": limits.FAILED_KEPT_S}
#: Tracebacks kept in the engine for one job.
_STACKS_KEPT = 10
#: Between two tries to reach the server, in seconds.
_RECONNECT_S = 1.0


class BullConsumer(bullmq.Worker):  # type: ignore[misc] # bullmq has no types
    """The ``Consumer`` of one queue.

    Args:
        queue: its name; every job in it is ours.
        process: what is done with each job.
        url: the server.
        slots: jobs this process runs at once over all its queues.
        slot_count: how many ``slots`` there are.
        max_stalls: how often a job may be let go of before it is given up.
        capped: the queue's concurrency has a cap.
        keep_s: how long completed jobs are kept, in seconds; None for an hour, 1000 jobs at most.
        prefix: of all keys.
    """

    def __init__(
        self,
        queue: str,
        process: Process,
        url: str,
        *,
        slots: asyncio.Semaphore,
        slot_count: int,
        max_stalls: int,
        capped: bool = False,
        keep_s: float | None = None,
        prefix: str = "bull",
    ) -> None:
        client = worker_client(url)
        super().__init__(
            queue,
            None,
            {
                "connection": client,
                "prefix": prefix,
                "concurrency": slot_count,
                "lockDuration": round(limits.LOCK_S * 1000),
                "stalledInterval": round(limits.STALLED_CHECK_S * 1000),
                "maxStalledCount": max_stalls,
                "drainDelay": limits.IDLE_WAIT_S,
                "runRetryDelay": round(_RECONNECT_S * 1000),
            },
        )
        self._client = client
        self._process = process
        self._slots = slots
        self._capped = capped
        self._completed_kept = _COMPLETED_KEPT if keep_s is None else {"age": round(keep_s)}
        # BullMQ asks no server what it can do, and then rounds each wait up to a whole second.
        for connection in (self.redisConnection, self.blockingRedisConnection):
            connection.capabilities = {"canBlockFor1Ms": True, "canDoubleTimeout": True}
        self._taken: dict[str, _Taken] = {}
        self.on("error", self._log_error)
        self.on("lockRenewalFailed", self._tell_lost)

    async def run(self) -> None:
        """See Consumer."""
        try:
            await self._wait_reachable()
            if not self.closing:
                await super().run()
        finally:
            await self._client.aclose()

    async def pause(self) -> None:
        """See Consumer."""
        await super().pause(do_not_wait_active=True)

    async def close(self) -> None:
        """See Consumer. The pause goes first: a closing worker would stop renewing locks too early."""
        await self.pause()
        while self.jobs:
            await asyncio.wait(self.processing, timeout=_RECONNECT_S)
        await super().close()

    async def getNextJob(self, token: str) -> Any:  # noqa: N802 - BullMQ's name
        """Wait for no job while none is wanted: with the server away that would have no end."""
        return None if self.paused or self.closing else await super().getNextJob(token)

    async def moveToActive(self, token: str) -> Any:  # noqa: N802
        """Take a job once a slot is free; ``processJob`` frees it."""
        await self._slots.acquire()
        job = None
        try:
            if not (self.paused or self.closing):
                job = await super().moveToActive(token)
            if job is not None and self.paused:  # nobody would process it before the worker resumes or closes
                await self._delay(job, token, 0.0, {"skipAttempt": True})
                job = None
        finally:
            if job is None:
                self._slots.release()
        return job

    async def nextJobFromJobData(  # noqa: N802
        self, job_data: dict[str, str] | None = None, *rest: Any, **named: Any
    ) -> Any:
        """Let data that is no JSON through as text: a bad payload, not an error at each try to take it."""
        if job_data:
            try:
                json.loads(job_data.get("data", "{}"))
            except ValueError:
                job_data["data"] = json.dumps(job_data["data"])
        return await super().nextJobFromJobData(job_data, *rest, **named)

    async def processJob(self, job: Any, token: str) -> None:  # noqa: N802
        """Have the job processed and make the outcome true.

        If that fails the job stays active: its lock runs out and the stalled check has it taken again.
        """
        self.jobs.add((job, token))
        self.lockManager.track_job(job.id, token, _now_ms())
        taken = self._taken[job.id] = _Taken(job, self.name)
        try:
            await self._settle(job, token, await self._process(taken))
            if self._capped:  # the one that may start now waits for a sign, which BullMQ does not give
                await self._client.zadd(self.backend.keys["marker"], {"0": 0})
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            log.warning(
                "job.left_to_stall", queue=self.name, job=job.id, error=f"{type(error).__name__}: {error}"
            )
        finally:
            if self._taken.get(job.id) is taken:  # else its lock ran out and it was taken anew, here
                del self._taken[job.id]
                self.lockManager.untrack_job(job.id)
            self.jobs.discard((job, token))
            self._slots.release()

    async def _wait_reachable(self) -> None:
        """Return when the server answers, or when the worker closes."""
        while not self.closing:
            try:
                await self._client.ping()
                return
            except (RedisError, OSError) as error:
                log.warning("queue.unreachable", queue=self.name, error=str(error))
            await asyncio.sleep(_RECONNECT_S)

    async def _settle(self, job: Any, token: str, outcome: Outcome) -> None:
        match outcome:
            case Completed(result):
                await self.backend.moveToCompleted(job, result, self._completed_kept, token, False)
            case Failed(error, stack):
                fields = _failure_fields(job, error, stack)
                await self.backend.moveToFailed(job, error, _FAILED_KEPT, token, False, fields)
            case Retried(wait_s, error, stack):
                fields = _failure_fields(job, error, stack)
                await self._delay(job, token, wait_s, {"fieldsToUpdate": fields})
            case HandedBack(wait_s):
                await self._delay(job, token, wait_s, {"skipAttempt": True})

    async def _delay(self, job: Any, token: str, wait_s: float, options: dict[str, Any]) -> None:
        await self.backend.moveToDelayed(job.id, _now_ms(), round(wait_s * 1000), token, options)

    def _tell_lost(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            if (taken := self._taken.get(job_id)) is not None:
                taken.lost.set()

    def _log_error(self, error: Exception, *_: Any) -> None:
        if not is_unavailable(error):
            log.warning("queue.error", queue=self.name, error=f"{type(error).__name__}: {error}")


class _Taken:
    """The ``TakenJob`` of a BullMQ job."""

    def __init__(self, job: Any, queue: str) -> None:
        self._job = job
        self.queue = queue
        self.job_id = str(job.id)
        self.name: str = job.name
        self.data: Any = job.data
        self.attempt: int = job.attemptsMade + 1
        self.stalls: int = job.stalledCounter
        self.is_back: bool = job.attemptsStarted > self.attempt
        self.given_up: str | None = job.deferredFailure
        self.created_utc_ms: int = job.timestamp
        self.origin: Any = job.opts.get(ORIGIN)
        self.lost = asyncio.Event()

    async def report_progress(self, value: Any) -> None:
        await self._job.updateProgress(value)

    async def log(self, line: str) -> None:
        await bullmq.Job.addJobLog(self._job.queue, self.job_id, line, limits.LOG_LINES_KEPT)


def _failure_fields(job: Any, error: str, stack: str) -> dict[str, str]:
    stacks = [*job.stacktrace, stack][-_STACKS_KEPT:] if stack else job.stacktrace
    return {"failedReason": error, "stacktrace": json.dumps(stacks)}


def _now_ms() -> int:
    return round(utc_s() * 1000)
