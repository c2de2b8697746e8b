"""What is done with dead letters: run again, put away, found in the engine.

Runs in: master | job worker | command line.
"""

from collections.abc import Iterable

from brama.clock import utc_s
from jobs.engine.port import JobQueue, JobView, NewJob
from jobs.errors import NoSuchJobError
from jobs.policy.verdict import Cause
from jobs.results import Results
from jobs.storage.dead_letters import DeadLetter, DeadLetters

_PAGE = 100


async def retry(queue: JobQueue, letters: DeadLetters, letter_id: int) -> None:
    """Have the job of a letter begin again with all its attempts, and close the letter.

    Raises:
        NoSuchJobError: there is no such letter, or its job is waiting, running or completed.
        EngineUnavailableError: the engine cannot be reached.
    """
    letter = await _get(letters, letter_id)
    if not await queue.retry(letter.queue, letter.job_id):
        if (job := await queue.find(letter.queue, letter.job_id)) is not None:
            raise NoSuchJobError(
                f"letter {letter_id}: job {job.job_id} is {job.state}, there is nothing to retry"
            )
        await queue.add(
            NewJob(
                queue=letter.queue,
                job_id=letter.job_id,
                name=letter.name,
                data=letter.payload,
                created_utc_ms=round(letter.created_utc * 1000),
                origin=letter.origin,
            )
        )
    await letters.resolve(letter, "retried")


async def resolve(letters: DeadLetters, letter_id: int, note: str) -> None:
    """Close a letter with a note; its job stays as it is.

    Raises:
        NoSuchJobError: there is no such letter, or it is closed.
    """
    if not await letters.resolve(await _get(letters, letter_id), note):
        raise NoSuchJobError(f"letter {letter_id}: is resolved already")


async def clean(queue: JobQueue, letters: DeadLetters, older_than_s: float, limit: int) -> int:
    """Forget the ``limit`` oldest letters that were resolved more than ``older_than_s`` seconds ago, with the
    jobs that still lie among the failed; return how many there were.

    Raises:
        EngineUnavailableError: the engine cannot be reached; nothing is forgotten.
    """
    found = await letters.resolved_before(utc_s() - older_than_s, limit)
    for letter in found:
        job = await queue.find(letter.queue, letter.job_id)
        if job is None or job.state != "failed":
            continue
        if not await letters.has_open(letter.queue, letter.job_id):  # it was retried, and died once more
            await queue.remove(letter.queue, letter.job_id)
    await letters.delete_resolved(letter.letter_id for letter in found)
    return len(found)


class Reconciler:
    """Finds jobs that failed without a letter: whoever failed them was none of our workers.

    Args:
        queue: the engine.
        letters: where their letters go.
        results: tells whoever waits for the end of such a job.
        queues: the queues to look through.
    """

    def __init__(
        self, queue: JobQueue, letters: DeadLetters, results: Results, queues: Iterable[str]
    ) -> None:
        self._queue = queue
        self._letters = letters
        self._results = results
        #: What failed before this moment (milliseconds since the epoch) has been looked at.
        self._seen_utc_ms = dict.fromkeys(queues, 0)

    async def look(self) -> int:
        """Write the missing letters and return how many there were.

        Raises:
            EngineUnavailableError: the engine cannot be reached.
            StateError, NotAcceptedError: they cannot be written.
        """
        count = 0
        for queue, seen_utc_ms in self._seen_utc_ms.items():
            first, newest_utc_ms = 0, seen_utc_ms
            while jobs := await self._queue.failed(queue, first, _PAGE):
                fresh = [job for job in jobs if job.finished_utc_ms >= seen_utc_ms]
                missing = await self._letters.missing([_letter_of(job) for job in fresh])
                for letter in missing:
                    await self._results.send_death(letter)
                count += await self._letters.record_missing(missing)
                newest_utc_ms = max([newest_utc_ms, *(job.finished_utc_ms for job in fresh)])
                if len(fresh) < len(jobs):
                    break
                first += len(jobs)
            self._seen_utc_ms[queue] = newest_utc_ms
        return count


async def _get(letters: DeadLetters, letter_id: int) -> DeadLetter:
    letter = await letters.get(letter_id)
    if letter is None:
        raise NoSuchJobError(f"letter {letter_id}: there is none; `list` names those there are")
    return letter


def _letter_of(job: JobView) -> DeadLetter:
    return DeadLetter(
        queue=job.queue,
        job_id=job.job_id,
        attempt=job.attempts_made,
        name=job.name,
        cause=Cause.FOUND_FAILED,
        error=job.error,
        stack=job.stack,
        payload=job.data,
        created_utc=job.created_utc_ms / 1000,
        died_utc=job.finished_utc_ms / 1000,
        origin=job.origin,
    )
