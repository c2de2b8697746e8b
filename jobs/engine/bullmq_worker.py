"""A worker's side of BullMQ.

Of ``bullmq.Worker`` we keep what calls the scripts, renews locks and looks for stalled jobs; the loop and the
processing are ours. Theirs have traps that cost jobs or run them twice:

- a CancelledError that leaves a processor ends the worker's loop for good;
- an error while a job is being moved counts as an error of the job, which may fail it for good;
- ``removeOnFail`` of the producer goes before the worker's, so a failed job may be gone at once;
- a job that stalled out fails without anything of ours being asked;
- ``close`` stops renewing locks when the first of several jobs in hand is through;
- ``close(force)`` leaves the jobs in hand active.

Runs in: job worker.
"""

import asyncio
import itertools
import json
from typing import Any

import bullmq
from bullmq.timer import Timer
from redis.exceptions import RedisError

from brama.clock import utc_s
from brama.log import get_logger
from jobs.engine.bullmq_queue import ORIGIN
from jobs.engine.connections import is_unavailable, worker_client
from jobs.engine.port import Completed, Failed, HandedBack, Outcome, Process, Retried
from jobs.engine.slots import Slots
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

    One loop takes a job for each slot it gets and starts a task for it. The task goes on with the next job,
    which the server hands out with the end of the one before, until there is none or another queue wants the
    slot.

    Args:
        queue: its name; every job in it is ours.
        process: what is done with each job.
        url: the server.
        slots: jobs this process runs at once over all its queues.
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
        slots: Slots,
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
                "lockDuration": round(limits.LOCK_S * 1000),
                "maxStalledCount": max_stalls,
                "stalledInterval": round(limits.STALLED_CHECK_S * 1000),
                "drainDelay": limits.IDLE_WAIT_S,
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
        self._task_numbers = itertools.count(1)
        self._ended = asyncio.Event()
        self.on("error", self._log_error)
        self.on("lockRenewalFailed", self._tell_lost)

    async def run(self) -> None:
        """See Consumer."""
        check: Timer | None = None
        self.running = True
        try:
            await self._wait_reachable()
            self.lockManager.start()
            check = Timer(limits.STALLED_CHECK_S, self.runStalledJobsCheck, self.emit)
            while not self.closing:
                await self.resume_event.wait()
                await self._start_one()
        except asyncio.CancelledError:
            self.cancelProcessing()
            raise
        finally:
            if check is not None:
                check.stop()
            await super().close()  # locks are renewed until the last job in hand is through
            await self._client.aclose()
            self.running = False
            self._ended.set()

    async def pause(self) -> None:
        """See Consumer."""
        await super().pause(do_not_wait_active=True)

    async def close(self) -> None:
        """See Consumer."""
        await self.pause()
        self.closing = True
        self.resume_event.set()
        if self.running:
            await self._ended.wait()
        else:  # never, if its task was cancelled before it began
            await self._client.aclose()

    async def nextJobFromJobData(  # noqa: N802 - BullMQ's name
        self, job_data: dict[str, str] | None = None, *rest: Any, **named: Any
    ) -> Any:
        """Let data that is no JSON through as text: a bad payload, not an error at each try to take it."""
        try:
            return await super().nextJobFromJobData(job_data, *rest, **named)
        except ValueError:
            if not job_data:
                raise
            job_data["data"] = json.dumps(job_data.get("data", ""))
            return await super().nextJobFromJobData(job_data, *rest, **named)

    async def _wait_reachable(self) -> None:
        """Return when the server answers, or when the worker closes."""
        while not self.closing:
            try:
                await self._ensure_client_names()
                return
            except (RedisError, OSError) as error:
                log.warning("queue.unreachable", queue=self.name, error=str(error))
            await asyncio.sleep(_RECONNECT_S)

    @property
    def _takes_jobs(self) -> bool:
        return not (self.paused or self.closing)

    async def _start_one(self) -> None:
        """Wait for a job and a slot, and start a task for both."""
        try:
            if self.drained and not await self._wait_for_sign():
                return
            await self._slots.acquire(self.name)
            job = None
            try:
                if self._takes_jobs:
                    job = await self._kept(await self.moveToActive(f"{self.id}:{next(self._task_numbers)}"))
            finally:
                if job is None:
                    self._slots.release()
        except Exception as error:
            self._log_error(error)
            await asyncio.sleep(_RECONNECT_S)
            return
        if job is not None:
            task = asyncio.create_task(self._work(job))
            self.processing.add(task)
            task.add_done_callback(self.processing.discard)

    async def _wait_for_sign(self) -> bool:
        """Wait until there may be a job; return False if there is none yet, or none is wanted any more."""
        self.waiting = waiting = asyncio.ensure_future(self.waitForJob())
        try:
            await asyncio.wait({waiting})  # which pausing cancels
            if waiting.cancelled():
                return False
            self.blockUntil = waiting.result()
            return bool(self.blockUntil <= _now_ms())
        finally:
            waiting.cancel()
            self.waiting = None

    async def _kept(self, job: Any) -> Any:
        """Return ``job``; hand it back and return None if no job is wanted any more."""
        if job is None or self._takes_jobs:
            return job
        await self._delay(job, 0.0, {"skipAttempt": True})
        return None

    async def _work(self, job: Any) -> None:
        """Process ``job`` and those that come with its end, then free the slot."""
        try:
            while job is not None:
                job = await self._process_one(job)
        finally:
            self._slots.release()

    async def _process_one(self, job: Any) -> Any:
        """Have ``job`` processed and make the outcome true; return the next job if one came with that.

        If that fails the job stays active: its lock runs out and the stalled check has it taken again.
        """
        self.lockManager.track_job(job.id, job.token, _now_ms())
        taken = self._taken[job.id] = _Taken(job, self.name)
        try:
            following = await self._settle(job, await self._process(taken))
            if following is None and self._capped:
                # The one that may start now waits for a sign, which BullMQ does not give.
                await self._client.zadd(self.backend.keys["marker"], {"0": 0})
            return await self._kept(following)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            log.warning(
                "job.left_to_stall", queue=self.name, job=job.id, error=f"{type(error).__name__}: {error}"
            )
            return None
        finally:
            if self._taken.get(job.id) is taken:  # else its lock ran out and it was taken anew, here
                del self._taken[job.id]
                self.lockManager.untrack_job(job.id)

    async def _settle(self, job: Any, outcome: Outcome) -> Any:
        """Make ``outcome`` true; return the next job if one came with that."""
        match outcome:
            case Completed(result):
                return await self._complete(job, result)
            case Failed(error, stack):
                fields = _failure_fields(job, error, stack)
                await self.backend.moveToFailed(job, error, _FAILED_KEPT, job.token, False, fields)
            case Retried(wait_s, error, stack):
                fields = _failure_fields(job, error, stack)
                await self._delay(job, wait_s, {"fieldsToUpdate": fields})
            case HandedBack(wait_s):
                await self._delay(job, wait_s, {"skipAttempt": True})
        return None

    async def _complete(self, job: Any, result: Any) -> Any:
        goes_on = self._takes_jobs and not self._slots.are_wanted_beside(self.name)
        answer = await self.backend.moveToCompleted(job, result, self._completed_kept, job.token, goes_on)
        if not goes_on:
            return None
        data, job_id, limited_ms, due_utc_ms = answer["result"]
        return await self.nextJobFromJobData(data, job_id, limited_ms or 0, due_utc_ms or 0, job.token)

    async def _delay(self, job: Any, wait_s: float, options: dict[str, Any]) -> None:
        await self.backend.moveToDelayed(job.id, _now_ms(), round(wait_s * 1000), job.token, options)

    def _tell_lost(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            if (taken := self._taken.get(job_id)) is not None and not taken.lost.done():
                taken.lost.set_result(None)

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
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def report_progress(self, value: Any) -> None:
        await self._job.updateProgress(value)

    async def log(self, line: str) -> None:
        await bullmq.Job.addJobLog(self._job.queue, self.job_id, line, limits.LOG_LINES_KEPT)


def _failure_fields(job: Any, error: str, stack: str) -> dict[str, str]:
    stacks = [*job.stacktrace, stack][-_STACKS_KEPT:] if stack else job.stacktrace
    return {"failedReason": error, "stacktrace": json.dumps(stacks)}


def _now_ms() -> int:
    return round(utc_s() * 1000)
