"""What the rest of the house knows of the queue's engine.

Nothing outside ``jobs/engine/`` knows BullMQ or Redis. A producer adds to a ``JobQueue``; a worker is handed
``TakenJob`` objects and answers each with an ``Outcome``, which the engine then makes true.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

#: What JSON can say.
Json = Any


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as a producer hands it over.

    Args:
        queue: the queue's name.
        job_id: unique in the queue; adding a job whose id is there already changes nothing.
        name: the type.
        data: the payload.
        created_utc_ms: when it was accepted, milliseconds since the epoch; ``delay_ms`` counts from here.
        attempts: how often it is tried; for workers in Node, ours go by the type.
        backoff_ms: the first wait between attempts, doubled each time; for workers in Node.
        priority: 1 (first) up to MAX_PRIORITY (last); 0, the default, goes before all of them.
        delay_ms: it is not started earlier.
        origin: who wants to know how it ends, as JSON; see ``jobs.results``.
    """

    queue: str
    job_id: str
    name: str
    data: Json
    created_utc_ms: int
    attempts: int = 1
    backoff_ms: int = 0
    priority: int = 0
    delay_ms: int = 0
    origin: Json = None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is now.

    Args:
        state: waiting, prioritized, delayed, active, completed, failed, or unknown.
        attempts_made: attempts that have ended.
        progress: what the handler reported last.
        result: of a completed job.
        error: why it failed, or failed last.
        stack: the last traceback.
        finished_utc_ms: when it completed or failed for good; 0 before.
        origin: as in NewJob.
    """

    queue: str
    job_id: str
    name: str
    data: Json
    state: str
    attempts_made: int
    progress: Json
    result: Json
    error: str
    stack: str
    created_utc_ms: int
    finished_utc_ms: int
    origin: Json


class JobQueue(Protocol):
    """The producer's and the operator's side.

    Every method raises EngineUnavailableError if the server cannot be reached within seconds or has no room.
    """

    async def add(self, job: NewJob) -> None:
        """Store ``job`` durably, or leave things as they are if its id is known already."""

    async def find(self, queue: str, job_id: str) -> JobView | None:
        """Return the job, None if there is none or it is no longer kept."""

    async def failed(self, queue: str, first: int, count: int) -> list[JobView]:
        """Return ``count`` jobs that failed for good from ``first`` (0 is the one that failed last)."""

    async def announce(self, queues: Iterable[str]) -> None:
        """Make queues known to ``queues``, as ``add`` does with the job's."""

    async def queues(self) -> list[str]:
        """Return the queues that any process of ours has added to or taken from, in order."""

    async def exists(self, queue: str) -> bool:
        """Return whether anybody has ever added a job to ``queue``, or paused it."""

    async def counts(self, queue: str) -> dict[str, int]:
        """Return the number of jobs in each state."""

    async def retry(self, queue: str, job_id: str) -> bool:
        """Have a failed job begin again with all its attempts; False if it is not among the failed."""

    async def remove(self, queue: str, job_id: str) -> None:
        """Forget a job that nobody works on."""

    async def pause(self, queue: str) -> None:
        """Have no worker take a job of ``queue`` until ``resume``."""

    async def resume(self, queue: str) -> None:
        """Undo ``pause``."""

    async def is_paused(self, queue: str) -> bool:
        """Return whether ``queue`` is paused."""

    async def cap_concurrency(self, queue: str, limit: int | None) -> None:
        """Let all workers together run at most ``limit`` jobs of ``queue``; None: as many as have slots."""

    async def warning(self) -> str | None:
        """Return one line if the server is set up in a way that can lose jobs."""

    async def close(self) -> None:
        """Let go of the connections."""


class TakenJob(Protocol):
    """A job in a worker's hands."""

    @property
    def queue(self) -> str: ...
    @property
    def job_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def data(self) -> Json: ...
    @property
    def attempt(self) -> int:
        """1 for the first attempt."""

    @property
    def stalls(self) -> int:
        """How often a worker let go of it without a word."""

    @property
    def is_back(self) -> bool:
        """Whether it was taken before for this attempt, and handed back or let go of."""

    @property
    def given_up(self) -> str | None:
        """Why the engine wants it to fail without another attempt, None if it does not."""

    @property
    def created_utc_ms(self) -> int: ...
    @property
    def origin(self) -> Json: ...
    @property
    def lost(self) -> asyncio.Future[None]:
        """Done when its lock has run out, as while the server is away: another worker may begin it now."""

    async def report_progress(self, value: Json) -> None: ...
    async def log(self, line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler is through; ``result`` is what JSON can say."""

    result: Json


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt failed and another one follows in ``wait_s`` seconds."""

    wait_s: float
    error: str
    stack: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The job failed for good."""

    error: str
    stack: str


@dataclass(frozen=True, slots=True)
class HandedBack:
    """Somebody else is to run it, in ``wait_s`` seconds at the earliest; no attempt is spent."""

    wait_s: float = 0.0


Outcome = Completed | Retried | Failed | HandedBack
#: Never raises: what it cannot handle comes back as a Retried or HandedBack.
Process = Callable[[TakenJob], Awaitable[Outcome]]


class Consumer(Protocol):
    """A worker's side of one queue."""

    async def run(self) -> None:
        """Take jobs until ``close``; while the server is away, wait for it."""

    async def pause(self) -> None:
        """Take no more jobs; those in hand go on, their locks being renewed."""

    async def close(self) -> None:
        """End once the jobs in hand are through."""


class RateLimiter(Protocol):
    """One limit, counted for each key by itself, over all processes and machines that share the server."""

    async def take(self, key: str, *, ahead: bool = False) -> float:
        """Take one call of ``key``'s, if its rates allow one now.

        Args:
            key: whose calls are counted together, as an organisation's id; any text.
            ahead: the caller has waited as long as it was told, or is in the middle of its work; it goes
                before those that are new.

        Returns:
            0.0 if it was taken; else the seconds to wait before asking again, ``ahead`` then. No two callers
            are given the same turn, so that those who wait do not all come back at once.

        Raises:
            EngineUnavailableError: the server cannot be reached; nobody may go on then.
        """
