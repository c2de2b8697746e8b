"""All that an author of jobs needs: ``from jobs.author import job, enqueue, JobContext``.

Runs in: wherever jobs are enqueued or run.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import brama.jobs
from jobs.client import producing
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


def use_producer(producer: Producer | None) -> None:
    """Have ``enqueue`` go through ``producer`` in this process; None: through none any more."""
    global _producer
    _producer = producer


@asynccontextmanager
async def connect(state_dir: str | Path, url: str | None = None) -> AsyncIterator[None]:
    """Let ``enqueue`` work in this program, which is neither a bot nor a worker, until the block ends.

    Args and errors are those of ``jobs.client.producing``.
    """
    async with producing(Path(state_dir), url) as producer:
        use_producer(producer)
        try:
            yield
        finally:
            use_producer(None)


async def enqueue(
    job_type: JobType[PayloadT],
    payload: PayloadT,
    *,
    key: str | None = None,
    priority: int = 0,
    delay: str | None = None,
    extra: Any = None,
) -> str:
    """Take a job over and return its id.

    In a bot under the supervisor this is ``brama.enqueue`` for the type's name and queue; elsewhere it goes
    to the producer that was given to ``use_producer``, as ``Producer.enqueue`` says.

    Args:
        job_type: what is to be done.
        payload: with what.
        key: enqueuing the same type under the same key again changes nothing and returns the same id.
        priority: 1 (first) up to 2097152 (last); 0, the default, goes before all of them.
        delay: it is not started before this duration, as ``30s`` or ``5m``, is over.
        extra: comes back with the result, so in a bot only.

    Raises:
        RuntimeError: nobody takes jobs here: this is no bot under a supervisor, and nobody has called
            ``use_producer`` in this process.
        NotAcceptedError: nobody could store it.
    """
    if _producer is None:
        return await brama.jobs.enqueue(
            job_type.name,
            job_type.plain(payload),
            queue=job_type.queue,
            key=key,
            priority=priority,
            delay=delay,
            extra=extra,
        )
    if extra is not None:
        raise TypeError(f"job {job_type.name}: extra comes back to a bot, and this process is none")
    return await _producer.enqueue(job_type, payload, key=key, priority=priority, delay=delay)
