"""Carries operations from the loop to the writer's thread, and what came of them back.

Runs in: master.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from brama.log import get_logger
from supervisor.updates.inbox.books import Standings
from supervisor.updates.inbox.committing import Job, Report, Told
from supervisor.updates.inbox.operations import Operation
from supervisor.updates.inbox.transaction import Result
from supervisor.updates.model import CommitFailedError

CLOSED = "the inbox is closed"
log = get_logger(__name__)


class Writing(Protocol):
    """The thread at the other end."""

    def start(self) -> None: ...
    def submit(self, job: Job) -> None: ...


class WriterLink:
    """The loop's end. All methods but ``post`` are called in the loop.

    Args:
        standings: kept up to date with every commit.
        concluded: told of each operation that is through, before those who wait for it.
    """

    def __init__(self, standings: Standings, concluded: Callable[[Operation], None]) -> None:
        self._standings = standings
        self._concluded = concluded
        self._writer: Writing | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._stall_callbacks: list[Callable[[str | None], None]] = []
        #: The writer's thread's own memory of what it said last.
        self._posted_stall: str | None = None
        #: Why commits fail now; None while all is well.
        self.stalled: str | None = None

    def connect(self, writer: Writing) -> None:
        """Send jobs to ``writer`` from now on."""
        self._writer = writer

    def ask(self, operation: Operation, told: Told | None = None) -> "asyncio.Future[Any]":
        """Send an operation whose result somebody waits for."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._submit(Job(operation, future, told))
        return future

    def note(self, operation: Operation) -> None:
        """Send an operation that nobody waits for."""
        self._submit(Job(operation))

    def on_stall(self, callback: Callable[[str | None], None]) -> None:
        """Call ``callback`` with each new value of ``stalled``."""
        self._stall_callbacks.append(callback)

    def close(self) -> None:
        """Refuse everything from now on; what was sent is still concluded."""
        self._closed = True

    def post(self, report: Report) -> None:
        """Hand a report to the loop, if it says anything new; called in the writer's thread."""
        if not (report.outcomes or report.changes) and report.stalled == self._posted_stall:
            return
        self._posted_stall = report.stalled
        if self._loop is not None:
            # The loop may be gone when the last report comes: nobody is left to be told.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._receive, report)

    def _submit(self, job: Job) -> None:
        if self._closed or self._writer is None:
            self._conclude(job, CommitFailedError(CLOSED))
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._writer.start()
        self._writer.submit(job)

    def _receive(self, report: Report) -> None:
        self._standings.apply(report.changes)
        for line in report.rejected:
            log.error("inbox.operation_rejected", detail=line)
        for job, result in report.outcomes:
            self._conclude(job, result)
        if report.stalled != self.stalled:
            self.stalled = report.stalled
            if report.stalled:
                log.error("inbox.stalled", reason=report.stalled)
            else:
                log.info("inbox.recovered")
            for callback in self._stall_callbacks:
                asyncio.get_running_loop().call_soon(callback, report.stalled)

    def _conclude(self, job: Job, result: Result) -> None:
        self._concluded(job.operation)
        if job.told is not None:
            try:
                job.told(result)
            except Exception:
                # The commit stands, and others wait for theirs.
                log.exception("inbox.announcement_failed")
        future = job.future
        if future is None or future.done():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
