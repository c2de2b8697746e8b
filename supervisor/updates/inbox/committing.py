"""Commits a group whole, and where that fails, finds out what of it can be committed.

Runs in: master (the writer's thread).
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from brama.clock import Clock
from supervisor.updates.inbox.books import Books, Change
from supervisor.updates.inbox.housekeeping import roll_back
from supervisor.updates.inbox.operations import Operation, weight
from supervisor.updates.inbox.presence import Presence
from supervisor.updates.inbox.schema import reason_of
from supervisor.updates.inbox.stall import is_disk_full, trouble_of
from supervisor.updates.inbox.transaction import Result, apply_group
from supervisor.updates.model import CommitFailedError, Source

#: Jobs of one transaction when what was kept through a stall is written.
_SLICE_JOBS = 500
#: An operation larger than this that alone does not fit is refused; it says nothing about the others.
_LARGE_BYTES = 4 * 1024**2

#: Told in the loop, in commit order, of an operation's result, or of the exception in its place.
Told = Callable[[Result], None]


@dataclass(slots=True, eq=False)
class Job:
    """One operation with those who wait for its result."""

    operation: Operation
    future: "asyncio.Future[Result] | None" = None
    told: Told | None = None


@dataclass(slots=True)
class Report:
    """What one turn of the writer came to, for the loop.

    ``outcomes`` are results, or the exceptions in their place. ``stalled`` is why commits fail now.
    ``rejected`` says of operations that no file could take what is wrong with them.
    """

    outcomes: list[tuple[Job, Result]] = field(default_factory=list)
    changes: list[tuple[Source, Change]] = field(default_factory=list)
    stalled: str | None = None
    rejected: list[str] = field(default_factory=list)

    def refuse(self, jobs: Sequence[Job], reason: str) -> None:
        """Give each of ``jobs`` a CommitFailedError."""
        self.outcomes += [(job, CommitFailedError(reason)) for job in jobs]

    def reject(self, job: Job, error: Exception) -> None:
        """Give up a job that would fail on any disk."""
        line = f"the inbox cannot take {type(job.operation).__name__}: {type(error).__name__}: {error}"
        self.outcomes.append((job, CommitFailedError(line)))
        self.rejected.append(line)


class Committer:
    """Turns jobs into transactions.

    Args:
        connection: the one that writes.
        path: its file, for messages.
        books: what the file holds.
        presence: asked before each commit whether the file is still there.
        letters_per_source: dead letters kept for one source.
        utc: clock of what is written down.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        books: Books,
        presence: Presence,
        *,
        letters_per_source: int,
        utc: Clock,
    ) -> None:
        self._connection = connection
        self._path = path
        self._books = books
        self._presence = presence
        self._letters_per_source = letters_per_source
        self._utc = utc

    def write(self, kept: deque[Job], refusable: Sequence[Job], report: Report) -> Exception | None:
        """Commit jobs, all in one transaction where that goes.

        Args:
            kept: jobs that cannot be refused, oldest first; those that are written leave it.
            refusable: jobs that get a CommitFailedError if they cannot be committed.
            report: takes outcomes and changes down.

        Returns:
            What is wrong with the disk or the file, None if nothing is.
        """
        if len(kept) <= _SLICE_JOBS and self._try([*kept, *refusable], report) is None:
            kept.clear()
            return None
        trouble = self._write_kept(kept, report)
        if trouble is not None:
            report.refuse(refusable, reason_of(self._path, trouble))
            return trouble
        return self._write_singly(refusable, report)

    def probe(self) -> Exception | None:
        """Commit one page, changing nothing; return what is wrong, if something is."""
        if (trouble := self.look()) is not None:
            return trouble
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            self._connection.execute(f"PRAGMA user_version = {version}")
        except sqlite3.Error as error:
            roll_back(self._connection)
            return error
        return None

    def look(self) -> Exception | None:
        """Return what is wrong if the file is not there any more."""
        try:
            self._presence.check()
        except OSError as error:
            return error
        return None

    def _write_kept(self, kept: deque[Job], report: Report) -> Exception | None:
        while kept:
            jobs = list(islice(kept, _SLICE_JOBS))
            error = self._try(jobs, report)
            if error is not None and trouble_of(error) is None and len(jobs) > 1:
                jobs = jobs[:1]
                error = self._try(jobs, report)
            if error is not None:
                if (trouble := trouble_of(error)) is not None:
                    return trouble
                report.reject(jobs[0], error)
            for _ in jobs:
                kept.popleft()
        return None

    def _write_singly(self, jobs: Sequence[Job], report: Report) -> Exception | None:
        for index, job in enumerate(jobs):
            error = self._try([job], report)
            if error is None:
                continue
            if (trouble := trouble_of(error)) is None:
                report.reject(job, error)
                continue
            report.refuse([job], reason_of(self._path, trouble))
            if not is_disk_full(trouble) or weight(job.operation)[1] <= _LARGE_BYTES:
                report.refuse(jobs[index + 1 :], reason_of(self._path, trouble))
                return trouble
        return None

    def _try(self, jobs: Sequence[Job], report: Report) -> Exception | None:
        """Commit ``jobs`` in one transaction; return why not, if not."""
        draft = self._books.draft()
        try:
            self._presence.check()
            self._connection.execute("BEGIN IMMEDIATE")
            results = apply_group(
                self._connection,
                draft,
                [job.operation for job in jobs],
                now_utc=self._utc(),
                letters_per_source=self._letters_per_source,
            )
            self._connection.execute("COMMIT")
        except Exception as error:
            roll_back(self._connection)
            return error
        report.outcomes += zip(jobs, results, strict=True)
        report.changes += self._books.adopt(draft)
        return None
