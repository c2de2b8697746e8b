"""Deals with jobs where no master does: on the file of dead letters, and on the queue's server itself.

Runs in: command line.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from brama.config.redis_address import without_login
from brama.errors import BramaError
from brama.redaction import register_secrets
from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.server import locate_server
from jobs.errors import EngineUnavailableError
from jobs.operations import JobOperations
from jobs.storage.database import FILE_NAME, Database
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox
from supervisor.control.job_ports import Jobs
from supervisor.control.job_wire import (
    CleanAnswer,
    JobLetter,
    JobLetterView,
    JobView,
    QueueView,
    TallyAnswer,
    list_letter,
    show_job,
    show_letter,
    show_queue,
)

_PAGE = 500

T = TypeVar("T")


@contextmanager
def open_direct(state_dir: Path, variables: Mapping[str, str]) -> Iterator["DirectDesk"]:
    """Give who works on the files of ``state_dir`` and on the server that ``variables`` name, else its own.

    Raises:
        ConfigError: the variables name no server that can be.
        BramaError: no jobs have been there.
    """
    url = locate_server(state_dir, variables)
    path = state_dir / FILE_NAME
    if not path.exists():
        raise BramaError(
            f"{path} is not there: no jobs have been enqueued or run with this state_dir; set jobs.enabled "
            "and start the supervisor, or name the folder of workers that run without it: --state-dir DIR"
        )
    register_secrets(url)
    database = Database(state_dir)
    try:
        with asyncio.Runner() as runner:
            queue = BullQueue(url)
            try:
                operations = JobOperations(queue, DeadLetters(database), Outbox(database))
                yield DirectDesk(runner, operations, without_login(url))
            finally:
                runner.run(queue.close())
    finally:
        database.close()


class DirectDesk:
    """Does it itself; see JobClient for what.

    Args:
        runner: what runs the coroutines.
        jobs: who knows how.
        server: the server's address, as it may be shown.
    """

    def __init__(self, runner: asyncio.Runner, jobs: Jobs, server: str) -> None:
        self._runner = runner
        self._jobs = jobs
        self._server = server

    def queues(self) -> list[QueueView]:
        return [show_queue(each) for each in self._run(self._jobs.queues())]

    def letters(
        self, *, queue: str | None, name: str | None, cause: str | None, include_resolved: bool, limit: int
    ) -> Iterator[JobLetter]:
        before: int | None = None
        while limit > 0:
            page = self._run(
                self._jobs.letters(
                    queue=queue,
                    name=name,
                    cause=cause,
                    include_resolved=include_resolved,
                    limit=min(limit, _PAGE),
                    before=before,
                )
            )
            if not page:
                return
            yield from map(list_letter, page)
            limit -= len(page)
            before = page[-1].letter_id

    def letter(self, letter_id: int) -> JobLetterView:
        letter = self._run(self._jobs.letter(letter_id))
        if letter is None:
            raise BramaError(f"there is no dead letter {letter_id}")
        return show_letter(letter, payload=True)

    def job(self, queue: str, job_id: str) -> JobView:
        job = self._run(self._jobs.job(queue, job_id))
        if job is None:
            raise BramaError(f"queue {queue} has no job {job_id}, or keeps it no longer")
        return show_job(job, payload=True)

    def retry(self, letter_ids: Sequence[int]) -> TallyAnswer:
        tally = self._run(self._jobs.retry(letter_ids))
        return TallyAnswer(tally.count, list(tally.problems))

    def resolve(self, letter_ids: Sequence[int], note: str) -> TallyAnswer:
        tally = self._run(self._jobs.resolve(letter_ids, note))
        return TallyAnswer(tally.count, list(tally.problems))

    def clean(self, older_than_s: float) -> CleanAnswer:
        return CleanAnswer(*self._run(self._jobs.clean(older_than_s)))

    def pause(self, queue: str) -> None:
        self._run(self._jobs.pause(queue))

    def resume(self, queue: str) -> None:
        self._run(self._jobs.resume(queue))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except EngineUnavailableError as error:
            raise BramaError(
                f"this needs the queue's server, and {self._server} does not answer; start it, or name "
                f"another in REDIS_URL or redis.url: {error}"
            ) from error
