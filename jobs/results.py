"""Tells those who want to know how a job ended: as a job in a queue of theirs.

The result is stored before the engine hears of the job's end, so that none is lost; a worker that dies in
between tells it twice, under the same id.

Runs in: job worker, which sends; master, which receives.
"""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import msgspec

from brama.clock import utc_s
from brama.log import get_logger
from jobs.engine.port import NewJob, TakenJob
from jobs.policy.ids import check_name, job_id_for
from jobs.storage.dead_letters import DeadLetter

#: The name of each result in its queue.
RESULT = "RESULT"
_RESULTS = "brama-results"
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wants to know.

    Args:
        reply_to: the queue that results go to.
        extra: given back with the result, as JSON.
    """

    reply_to: str
    extra: Any = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended.

    Args:
        queue: where it was.
        job_id: its id in there.
        name: its type.
        attempt: the attempt that was its last.
        ok: it completed.
        result: of a completed job, as JSON.
        error: of one that failed for good, one line.
        extra: of its origin.
        created_utc_ms: when the job was accepted, milliseconds since the epoch: a key may make another job of
            the same id once this one is forgotten.
    """

    queue: str
    job_id: str
    name: str
    attempt: int
    ok: bool
    result: Any
    error: str | None
    extra: Any
    created_utc_ms: int = 0


def result_queue(instance: str) -> str:
    """Return the queue of the results that ``instance`` waits for."""
    return f"{_RESULTS}.{instance}"


def is_result_queue(queue: str) -> bool:
    """Return whether ``queue`` carries results between processes of ours."""
    return queue.startswith(f"{_RESULTS}.")


def read_result(data: Any) -> JobResult:
    """Return the result in a job's data.

    Fields that are not known, as of a newer version, are left out.

    Raises:
        ValueError: there is none.
    """
    return msgspec.convert(data, JobResult)


def result_job(
    origin: Any,
    *,
    queue: str,
    job_id: str,
    name: str,
    attempt: int,
    created_utc_ms: int,
    result: Any = None,
    error: str | None = None,
) -> NewJob | None:
    """Return the job that tells ``origin`` of an end; None if nobody wants to know, or none can be told.

    Args:
        origin: of the job that has ended, as it travels with it.
        result: of a completed job, as JSON.
        error: of one that failed for good, one line; None: it completed.
    """
    if origin is None:
        return None
    try:
        known = msgspec.convert(origin, Origin)
        check_name(known.reply_to, "queue")
    except ValueError as trouble:
        log.error("job.origin_malformed", queue=queue, job=job_id, error=str(trouble))
        return None
    told = JobResult(queue, job_id, name, attempt, error is None, result, error, known.extra, created_utc_ms)
    return NewJob(
        queue=known.reply_to,
        job_id=job_id_for(queue, job_id, f"{created_utc_ms} {attempt} {told.ok}"),
        name=RESULT,
        data=asdict(told),
        created_utc_ms=round(utc_s() * 1000),
    )


class Taker(Protocol):
    """Who takes jobs over: a producer."""

    async def add(self, job: NewJob) -> None: ...


class Results:
    """Sends results.

    Args:
        taker: takes them over.
    """

    def __init__(self, taker: Taker) -> None:
        self._taker = taker

    async def send(self, job: TakenJob, *, result: Any = None, error: str | None = None) -> None:
        """Tell the origin of ``job``, if it has one that is understood, that it completed, or failed.

        Args:
            job: which has ended.
            result: of a completed job, as JSON.
            error: of one that failed for good, one line.

        Raises:
            NotAcceptedError: it cannot be stored.
        """
        told = result_job(
            job.origin,
            queue=job.queue,
            job_id=job.job_id,
            name=job.name,
            attempt=job.attempt,
            created_utc_ms=job.created_utc_ms,
            result=result,
            error=error,
        )
        if told is not None:
            await self._taker.add(told)

    async def send_death(self, letter: DeadLetter) -> None:
        """Tell the origin of a dead letter's job; raises as ``send``."""
        if (told := result_of(letter)) is not None:
            await self._taker.add(told)


def result_of(letter: DeadLetter) -> NewJob | None:
    """Return the job that tells the origin of a dead letter's job."""
    return result_job(
        letter.origin,
        queue=letter.queue,
        job_id=letter.job_id,
        name=letter.name,
        attempt=letter.attempt,
        created_utc_ms=round(letter.created_utc * 1000),
        error=letter.error,
    )
