"""Takes jobs over: into the engine at once, or into the outbox while the engine cannot take them.

Runs in: wherever jobs are enqueued.
"""

import asyncio
import secrets

from brama.clock import utc_s
from brama.config.values import parse_duration
from brama.errors import StateError
from brama.log import get_logger
from jobs.engine.port import JobQueue, NewJob
from jobs.errors import EngineUnavailableError, NotAcceptedError
from jobs.job_type import JobType, PayloadT
from jobs.policy.ids import job_id_for, job_id_from
from jobs.policy.limits import MAX_PRIORITY
from jobs.policy.verdict import Cause
from jobs.results import result_of
from jobs.storage.dead_letters import DeadLetter, DeadLetters
from jobs.storage.outbox import Outbox

log = get_logger(__name__)

#: Between two tries to empty the outbox, in seconds.
_FLUSH_S = 1.0
_BATCH = 100


class Producer:
    """Enqueues jobs. ``run`` has to run beside it for the outbox to be emptied.

    Args:
        queue: the engine.
        outbox: where jobs wait while the engine is away or full.
        letters: where those go that the engine refuses for good.
    """

    def __init__(self, queue: JobQueue, outbox: Outbox, letters: DeadLetters) -> None:
        self._queue = queue
        self._outbox = outbox
        self._letters = letters
        self._appending = asyncio.Lock()
        #: Jobs of this process may overtake none that wait in the outbox; None before it was looked at.
        self._waiting: int | None = None
        self._degraded: str | None = None

    @property
    def degraded(self) -> str | None:
        """Why jobs go into the outbox now; None while all is well."""
        return self._degraded

    async def enqueue(
        self,
        job_type: JobType[PayloadT],
        payload: PayloadT,
        *,
        key: str | None = None,
        priority: int = 0,
        delay: str | None = None,
    ) -> str:
        """Take a job over and return its id; from then on it gets lost no more.

        Args:
            job_type: what is to be done.
            payload: with what; its model is checked again, as it may have been changed since it was made.
            key: enqueuing the same type under the same key again changes nothing and returns the same id, for
                as long as the job is kept; a failed one too, which its dead letter begins again.
            priority: 1 (first) up to 2097152 (last); 0, the default, goes before all of them.
            delay: it is not started before this duration, as ``30s`` or ``5m``, is over.

        Raises:
            TypeError: the payload is not of the type's model.
            ValueError: its values are none that the model takes, or a number or duration is out of range.
            NotAcceptedError: neither the engine nor the outbox can store it.
        """
        if not 0 <= priority <= MAX_PRIORITY:
            raise ValueError(f"priority {priority} is not 0 to {MAX_PRIORITY}, 0 and 1 being the first")
        if key is None:
            job_id = job_id_from(secrets.randbits(128))
        else:
            job_id = job_id_for(job_type.queue, job_type.name, key)
        job = NewJob(
            queue=job_type.queue,
            job_id=job_id,
            name=job_type.name,
            data=job_type.plain(payload),
            created_utc_ms=round(utc_s() * 1000),
            attempts=job_type.attempts,
            backoff_ms=round(job_type.backoff.first_s * 1000),
            priority=priority,
            delay_ms=round(parse_duration(delay) * 1000) if delay else 0,
        )
        await self.add(job)
        return job_id

    async def add(self, job: NewJob) -> None:
        """Take over a job that somebody else has made.

        Raises:
            NotAcceptedError: neither the engine nor the outbox can store it.
        """
        try:
            await self._take_over(job)
        except StateError as error:
            raise NotAcceptedError(f"job {job.name}: not taken over: {error}") from error

    async def run(self) -> None:
        """Empty the outbox whenever the engine can take jobs; runs until it is cancelled."""
        while True:
            try:
                await self.flush()
            except StateError as error:
                log.error("outbox.unreadable", error=str(error))
            await asyncio.sleep(_FLUSH_S)

    async def flush(self) -> None:
        """Hand what waits in the outbox to the engine, oldest first, as far as it takes it.

        Raises:
            StateError: the outbox cannot be read or written.
        """
        while jobs := await self._outbox.oldest(_BATCH):
            added: list[int] = []
            try:
                for number, job in jobs:
                    await self._add_or_bury(job)
                    added.append(number)
            except EngineUnavailableError as error:
                self._degrade(str(error))
                return
            finally:
                # If this process dies first they are added again under the same ids, which changes nothing.
                await self._outbox.forget(added)
        async with self._appending:
            self._waiting = await self._outbox.count()
        if self._waiting == 0 and self._degraded is not None:
            self._degraded = None
            log.info("outbox.emptied")

    async def _take_over(self, job: NewJob) -> None:
        if self._waiting is None:
            self._waiting = await self._outbox.count()
        if not self._waiting:
            try:
                await self._queue.add(job)
                return
            except EngineUnavailableError as error:
                self._degrade(str(error))
        async with self._appending:
            self._waiting += 1
            await self._outbox.append(job)

    async def _add_or_bury(self, job: NewJob) -> None:
        """Add a job; one that the engine refuses for itself must not hold up all that come after it."""
        try:
            await self._queue.add(job)
        except EngineUnavailableError:
            raise
        except Exception as error:
            log.error("outbox.job_refused", queue=job.queue, job=job.job_id, error=str(error))
            letter = DeadLetter(
                queue=job.queue,
                job_id=job.job_id,
                attempt=0,
                name=job.name,
                cause=Cause.REFUSED,
                error=f"{type(error).__name__}: {error}",
                stack="",
                payload=job.data,
                created_utc=job.created_utc_ms / 1000,
                died_utc=utc_s(),
                origin=job.origin,
            )
            await self._letters.record(letter)
            if (told := result_of(letter)) is not None:
                await self._queue.add(told)

    def _degrade(self, reason: str) -> None:
        if self._degraded is None:
            log.warning("outbox.in_use", reason=reason)
        self._degraded = reason
