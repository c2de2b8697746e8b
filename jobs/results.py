"""Tells those who want to know how a job ended: as a job in a queue of theirs.

The result is stored before the engine hears of the job's end, so that none is lost; a worker that dies in
between tells it twice, under the same id.

Runs in: job worker, which sends; master, which receives.
"""

from dataclasses import asdict, dataclass
from typing import Any

from brama.clock import utc_s
from brama.log import get_logger
from jobs.engine.port import NewJob, TakenJob
from jobs.policy.ids import check_name, job_id_for
from jobs.producer import Producer

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
    """

    queue: str
    job_id: str
    name: str
    attempt: int
    ok: bool
    result: Any
    error: str | None
    extra: Any


def result_queue(instance: str) -> str:
    """Return the queue of the results that ``instance`` waits for."""
    return f"{_RESULTS}.{instance}"


def is_result_queue(queue: str) -> bool:
    """Return whether ``queue`` carries results between processes of ours."""
    return queue.startswith(f"{_RESULTS}.")


def read_result(data: Any) -> JobResult:
    """Return the result in a job's data.

    Raises:
        TypeError: there is none.
    """
    if not isinstance(data, dict):
        raise TypeError(f"a result is an object, not {type(data).__name__}")
    return JobResult(**data)


class Results:
    """Sends results.

    Args:
        producer: takes them over.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def send(self, job: TakenJob, *, result: Any = None, error: str | None = None) -> None:
        """Tell the origin of ``job``, if it has one that is understood, that it completed, or failed.

        Args:
            job: which has ended.
            result: of a completed job, as JSON.
            error: of one that failed for good, one line.

        Raises:
            NotAcceptedError: it cannot be stored.
        """
        if job.origin is None:
            return
        try:
            origin = Origin(**job.origin)
            check_name(origin.reply_to, "queue")
        except (TypeError, ValueError) as trouble:  # not of our making; raised, it would run for ever
            log.error("job_result.no_origin", queue=job.queue, job=job.job_id, error=str(trouble))
            return
        told = JobResult(
            job.queue, job.job_id, job.name, job.attempt, error is None, result, error, origin.extra
        )
        await self._producer.add(
            NewJob(
                queue=origin.reply_to,
                job_id=job_id_for(job.queue, job.job_id, f"{job.attempt} {told.ok}"),
                name=RESULT,
                data=asdict(told),
                created_utc_ms=round(utc_s() * 1000),
            )
        )
