"""What operators do with queues and with jobs that failed for good, by command line and API alike.

What only needs the table of dead letters works while the engine is away.

Runs in: master | command line.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from brama.errors import BramaError
from jobs import letters as steps
from jobs.engine.port import JobQueue, JobView
from jobs.errors import NoSuchJobError
from jobs.policy.verdict import Cause
from jobs.results import is_result_queue
from jobs.storage.dead_letters import DeadLetter, DeadLetters, LetterSummary
from jobs.storage.outbox import Outbox

_CLEAN_BATCH = 100


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue as it is now.

    Args:
        waiting: jobs that a worker can take, prioritized ones and those waiting for children included.
        delayed: jobs that wait for their time.
        completed, failed: those that are still kept.
        is_paused: no worker takes a job.
        dead_letters: open ones.
        outbox: jobs that wait here for the server to take them.
    """

    name: str
    waiting: int
    active: int
    delayed: int
    completed: int
    failed: int
    is_paused: bool
    dead_letters: int
    outbox: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a command about several letters.

    Args:
        count: letters it was done to.
        problems: one line for each that it could not be done to, and why.
    """

    count: int
    problems: tuple[str, ...] = ()


class JobOperations:
    """The operator's side of one engine and one state directory.

    Args:
        queue: the engine.
        letters: the dead letters.
        outbox: what the engine has not taken yet.
        queues: queues that are known beforehand, as those of the types in use.
    """

    def __init__(
        self, queue: JobQueue, letters: DeadLetters, outbox: Outbox, queues: Sequence[str] = ()
    ) -> None:
        self._queue = queue
        self._letters = letters
        self._outbox = outbox
        self._queues = frozenset(queues)

    async def queues(self) -> list[QueueView]:
        """Return every queue that is known: configured, used by a process of ours, or named by a letter.

        Those that carry results to a master are left out: they are none of an operator's business.

        Raises:
            EngineUnavailableError: the engine cannot be reached.
        """
        dead: dict[str, int] = {}
        for each in await self._letters.open_counts():
            dead[each.queue] = dead.get(each.queue, 0) + each.count
        kept = await self._outbox.count_by_queue()
        names = self._queues.union(await self._queue.queues(), dead, kept)
        return [
            await self._view(name, dead.get(name, 0), kept.get(name, 0))
            for name in sorted(names)
            if not is_result_queue(name)
        ]

    async def letters(
        self,
        *,
        queue: str | None,
        name: str | None,
        cause: str | None,
        include_resolved: bool,
        limit: int,
        before: int | None,
    ) -> list[LetterSummary]:
        """Return at most ``limit`` letters, youngest first, with ids below ``before``; None: any.

        Raises:
            NoSuchJobError: there is no such cause.
        """
        if cause is not None and cause not in set(Cause):
            raise NoSuchJobError(f'no letter has the cause "{cause[:40]}"; causes are {", ".join(Cause)}')
        return await self._letters.page(
            queue=queue, name=name, cause=cause, include_resolved=include_resolved, limit=limit, before=before
        )

    async def letter(self, letter_id: int) -> DeadLetter | None:
        """Return one letter with all that is known of it."""
        return await self._letters.get(letter_id)

    async def job(self, queue: str, job_id: str) -> JobView | None:
        """Return a job as it is now, None if there is none or it is no longer kept.

        Raises:
            EngineUnavailableError: the engine cannot be reached.
        """
        return await self._queue.find(queue, job_id)

    async def retry(self, letter_ids: Sequence[int]) -> Tally:
        """Have the jobs of these letters begin again with all their attempts, the oldest letter first.

        Raises:
            NoSuchJobError: there is no such letter; no job was begun again.
            EngineUnavailableError: the engine cannot be reached; no job was begun again.
        """
        return await self._each(letter_ids, lambda each: steps.retry(self._queue, self._letters, each))

    async def resolve(self, letter_ids: Sequence[int], note: str) -> Tally:
        """Close letters with a note; their jobs stay as they are.

        Raises:
            NoSuchJobError: there is no such letter; none was closed.
        """
        return await self._each(letter_ids, lambda each: steps.resolve(self._letters, each, note))

    async def clean(self, older_than_s: float) -> tuple[int, bool]:
        """Forget a batch of letters resolved more than ``older_than_s`` seconds ago, and their failed jobs.

        Returns:
            How many there were, and whether there may be more.

        Raises:
            EngineUnavailableError: the engine cannot be reached; nothing was forgotten.
        """
        count = await steps.clean(self._queue, self._letters, older_than_s, _CLEAN_BATCH)
        return count, count == _CLEAN_BATCH

    async def pause(self, queue: str) -> None:
        """Have no worker take a job of ``queue`` until ``resume``; what runs goes on.

        Raises:
            NoSuchJobError: nobody knows such a queue.
            EngineUnavailableError: the engine cannot be reached.
        """
        await self._check_queue(queue)
        await self._queue.pause(queue)

    async def resume(self, queue: str) -> None:
        """Undo ``pause``; raises likewise."""
        await self._check_queue(queue)
        await self._queue.resume(queue)

    async def _view(self, name: str, dead_letters: int, outbox: int) -> QueueView:
        counts = await self._queue.counts(name)
        return QueueView(
            name=name,
            waiting=counts["waiting"] + counts["prioritized"] + counts["waiting-children"],
            active=counts["active"],
            delayed=counts["delayed"],
            completed=counts["completed"],
            failed=counts["failed"],
            is_paused=await self._queue.is_paused(name),
            dead_letters=dead_letters,
            outbox=outbox,
        )

    async def _check_queue(self, name: str) -> None:
        """Refuse a name nobody knows: a pause of it would be believed, and hold up nothing."""
        known = self._queues.union(await self._queue.queues())
        if name not in known and not await self._queue.exists(name):
            there_are = f"there are {', '.join(sorted(known))}" if known else "there is none yet"
            raise NoSuchJobError(f'no queue is named "{name[:100]}"; {there_are}')

    async def _each(
        self, letter_ids: Sequence[int], step: Callable[[int], Coroutine[Any, Any, None]]
    ) -> Tally:
        ordered = sorted(set(letter_ids))
        if missing := sorted(set(ordered) - await self._letters.known(ordered)):
            named = ", ".join(map(str, missing[:10]))
            raise NoSuchJobError(f"there is no dead letter {named}; nothing was done")
        count, problems = 0, list[str]()
        for done, letter_id in enumerate(ordered):
            try:
                await step(letter_id)
                count += 1
            except NoSuchJobError as error:
                problems.append(str(error))
            except BramaError as error:
                if not count:
                    raise
                problems.append(f"{error}; {len(ordered) - done} letters were not looked at")
                break
        return Tally(count, tuple(problems))
