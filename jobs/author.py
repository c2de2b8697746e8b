"""All that an author of jobs needs: ``from jobs.author import job, enqueue, JobContext``.

Runs in: wherever jobs are enqueued or run.
"""

from jobs.context import JobContext as JobContext
from jobs.errors import NotAcceptedError as NotAcceptedError
from jobs.errors import PermanentError as PermanentError
from jobs.errors import RetryableError as RetryableError
from jobs.job_type import JobType, PayloadT
from jobs.job_type import job as job
from jobs.policy.backoff import exponential as exponential
from jobs.policy.rates import Rates as Rates
from jobs.producer import Producer

_producer: Producer | None = None


def use_producer(producer: Producer) -> None:
    """Have ``enqueue`` go through ``producer`` in this process."""
    global _producer
    _producer = producer


async def enqueue(
    job_type: JobType[PayloadT],
    payload: PayloadT,
    *,
    key: str | None = None,
    priority: int = 0,
    delay: str | None = None,
) -> str:
    """Take a job over and return its id; see ``Producer.enqueue``.

    Raises:
        RuntimeError: nobody has called ``use_producer`` in this process.
    """
    if _producer is None:
        raise RuntimeError("enqueue() has no producer here; call use_producer() where the process is wired")
    return await _producer.enqueue(job_type, payload, key=key, priority=priority, delay=delay)
