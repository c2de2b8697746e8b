"""Runs one attempt at a job and says what became of it.

The engine's ``Process``: it raises nothing, and a job that failed for good has its dead letter on disk before
the engine hears of it.

Runs in: job worker.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from brama.clock import utc_s
from brama.errors import StateError
from brama.log import get_logger
from jobs.context import JobContext
from jobs.engine.port import Completed, Failed, HandedBack, Outcome, RateLimiter, Retried, TakenJob
from jobs.errors import EngineUnavailableError, NotAcceptedError
from jobs.execution.allowance import Allowance, allowance
from jobs.execution.attempt import Ending, Returned, check_result, failure_of, read_payload
from jobs.execution.children import Children
from jobs.execution.reports import Reports
from jobs.job_type import AnyJobType, WhenDead
from jobs.policy.backoff import exponential
from jobs.policy.verdict import Cause, Failure, TryAgain, decide
from jobs.registry import Registry
from jobs.results import Results
from jobs.storage.dead_letters import DeadLetter, DeadLetters

log = get_logger(__name__)

#: For how long a handler that was cancelled may clean up; after that only its worker's end ends it.
CLEAN_UP_S = 3.0
#: How long a ``when_dead`` may take.
MOURNING_S = 10.0
#: After how long a job is tried again whose dead letter could not be written.
_UNWRITTEN_WAIT_S = 30.0
#: After how long a job is tried again whose limit could not be asked about.
_UNREACHABLE_WAIT_S = 1.0
#: For failures that no attempt mends; never waited.
_NO_BACKOFF = exponential("1s")


@dataclass(slots=True)
class Tally:
    """Jobs in hand by their ids, with their types, and how many completed or failed for good so far."""

    in_hand: dict[str, str] = field(default_factory=dict)
    completed: int = 0
    failed: int = 0


class Runner:
    """What a worker does with the jobs it takes.

    Args:
        types: what it knows to do.
        children: where ``def`` handlers run.
        letters: where jobs go that failed for good.
        results: tells how jobs ended.
        limiter: the limit that a type's jobs count for.
        unfit: called once if a handler cannot be ended; the process has to end then.
        jitter: 0 up to 1, anew each time.
    """

    def __init__(
        self,
        types: Registry,
        children: Children,
        letters: DeadLetters,
        results: Results,
        limiter: Callable[[AnyJobType], RateLimiter],
        unfit: Callable[[], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._types = types
        self._children = children
        self._letters = letters
        self._results = results
        self._limiter = limiter
        self._unfit = unfit
        self._jitter = jitter
        self._draining: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tally = Tally()

    def hand_back(self) -> None:
        """End the handlers that run, giving their jobs back, and every job that is taken from now on."""
        if not self._draining.done():
            self._draining.set_result(None)

    async def process(self, job: TakenJob) -> Outcome:
        """See ``Process``."""
        if self._draining.done():
            return HandedBack()
        self.tally.in_hand[job.job_id] = job.name
        try:
            outcome = await self._process(job)
            await self._tell(job, outcome)
        except (StateError, NotAcceptedError) as error:
            log.error("job.end_not_stored", queue=job.queue, job=job.job_id, error=str(error))
            return HandedBack(_UNWRITTEN_WAIT_S)
        finally:
            self.tally.in_hand.pop(job.job_id, None)
        return outcome

    async def _tell(self, job: TakenJob, outcome: Outcome) -> None:
        """Tell those who wait for the end of a job; before the engine hears of it, which forgets nothing."""
        match outcome:
            case Completed(result):
                await self._results.send(job, result=result)
                self.tally.completed += 1
            case Failed(error):
                job_type = self._types.find(job.queue, job.name)
                if job_type is not None and job_type.when_dead is not None:
                    await _mourn(job, job_type.when_dead, error)
                await self._results.send(job, error=error)
                self.tally.failed += 1

    async def _process(self, job: TakenJob) -> Outcome:
        if job.stalls and (letter := await self._letters.open_letter(job.queue, job.job_id, job.attempt)):
            # Its worker died between writing the letter and telling the engine.
            return Failed(letter.error, letter.stack)
        job_type = self._types.find(job.queue, job.name)
        ending = await self._try(job, job_type)
        match ending:
            case HandedBack():
                return ending
            case Returned(result):
                if job.attempt > 1:
                    await self._resolve(job)
                return Completed(result)
            case Failure():
                return await self._after(job, job_type, ending)

    async def _try(self, job: TakenJob, job_type: AnyJobType | None) -> Ending | HandedBack:
        """Return how the attempt ended, or that it is somebody else's or to be made at another time."""
        if job.given_up is not None:
            return Failure(Cause.STALLED, f"its worker died, or stood still, with it {job.stalls} times")
        if job_type is None:
            return Failure(
                Cause.UNKNOWN_TYPE,
                f'no handler for "{job.name}" in queue {job.queue}; have the worker load its module',
            )
        payload = read_payload(job_type, job.data)
        if isinstance(payload, Failure):
            return payload
        allowed = allowance(self._limiter(job_type), job_type, payload)
        if isinstance(allowed, Failure):
            return allowed
        if (wait_s := await self._turn_in_s(job, allowed)) > 0:
            return HandedBack(wait_s)
        reports = Reports(job)
        task = asyncio.create_task(self._run(job, job_type, payload, allowed, reports))
        ends: set[asyncio.Future[Any]] = {task, self._draining, job.lost}
        try:
            await asyncio.wait(ends, timeout=job_type.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            handed_back = self._draining.done() or job.lost.done()
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CLEAN_UP_S)
                if not task.done():
                    log.error("job.does_not_end", queue=job.queue, job=job.job_id)
                    self._unfit()
            # What ended by itself at the last moment counts as it ended.
            if task.done() and not task.cancelled():
                await reports.flush()
                return task.result()
        finally:
            task.cancel()
        if handed_back:
            log.info("job.handed_back", queue=job.queue, job=job.job_id)
            return HandedBack()
        return Failure(Cause.TIMEOUT, f"the attempt took longer than {job_type.timeout_s:g} s")

    async def _turn_in_s(self, job: TakenJob, allowed: Allowance) -> float:
        """Return 0.0 if the job may start, else the seconds after which it is to be taken again."""
        names = {"queue": job.queue, "job": job.job_id}
        try:
            wait_s = await allowed.take_start(job.is_back)
        except EngineUnavailableError as error:
            log.warning("job.limit_unknown", **names, error=str(error))
            return _UNREACHABLE_WAIT_S
        if wait_s > 0:
            log.info("job.limited", **names, wait_s=wait_s)
        return wait_s

    async def _run(
        self, job: TakenJob, job_type: AnyJobType, payload: BaseModel, allowed: Allowance, reports: Reports
    ) -> Ending:
        if not job_type.is_async:
            return await self._children.run(job, reports.add, allowed.wait)
        context = JobContext(
            job.job_id, job.queue, job.name, job.attempt, job_type.attempts, reports.add, allowed.wait
        )
        task = asyncio.current_task()
        assert task is not None
        try:
            return check_result(job_type, await job_type(payload, context))
        except asyncio.CancelledError as error:
            if task.cancelling():
                raise
            return failure_of(error)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if task.cancelling():  # it was ended, and made an error of that
                raise asyncio.CancelledError from error
            return failure_of(error)

    async def _resolve(self, job: TakenJob) -> None:
        """Close the letter of a job that was given up, and retried by somebody else than us."""
        try:
            await self._letters.resolve_job(job.queue, job.job_id, "completed after a retry")
        except StateError as error:  # no reason to run it again
            log.error("job.letter_not_resolved", queue=job.queue, job=job.job_id, error=str(error))

    async def _after(self, job: TakenJob, job_type: AnyJobType | None, failure: Failure) -> Outcome:
        attempts, backoff = (job_type.attempts, job_type.backoff) if job_type else (1, _NO_BACKOFF)
        verdict = decide(failure, job.attempt, attempts, backoff, self._jitter())
        names = {"queue": job.queue, "job": job.job_id, "type": job.name, "attempt": job.attempt}
        if isinstance(verdict, TryAgain):
            log.warning("job.attempt_failed", **names, cause=failure.cause, wait_s=round(verdict.wait_s, 3))
            return Retried(verdict.wait_s, failure.error, failure.stack)
        await self._letters.record(
            DeadLetter(
                queue=job.queue,
                job_id=job.job_id,
                attempt=job.attempt,
                name=job.name,
                cause=failure.cause,
                error=failure.error,
                stack=failure.stack,
                payload=job.data,
                created_utc=job.created_utc_ms / 1000,
                died_utc=utc_s(),
                origin=job.origin,
            )
        )
        log.error("job.buried", **names, cause=failure.cause)
        return Failed(failure.error, failure.stack)


async def _mourn(job: TakenJob, when_dead: WhenDead, error: str) -> None:
    """Call an author's function, whose failure must not keep the engine from hearing of the job's end.

    Raises:
        StateError, NotAcceptedError: what it has to say cannot be stored now.
    """
    trouble: BaseException | None = TimeoutError(f"took longer than {MOURNING_S:g} s")
    task = asyncio.create_task(_failure_of(when_dead, job.data, error))
    try:
        await asyncio.wait({task}, timeout=MOURNING_S)
        if task.done():
            trouble = task.result()
    finally:
        task.cancel()
    if isinstance(trouble, StateError | NotAcceptedError):
        raise trouble
    if trouble is not None:
        said = f"{type(trouble).__name__}: {trouble}"
        log.error("job.when_dead_failed", queue=job.queue, job=job.job_id, error=said)


async def _failure_of(when_dead: WhenDead, data: Any, error: str) -> BaseException | None:
    try:
        await when_dead(data, error)
    except asyncio.CancelledError as cancelled:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        return cancelled
    except (Exception, SystemExit, KeyboardInterrupt) as failure:
        return failure
    return None
