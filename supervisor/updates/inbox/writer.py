"""The thread that owns the connection that writes: one transaction for all that waits, one commit.

Operations come over a queue; the loop never waits for the disk. While commits fail, what can be refused is
refused, and the rest is kept, in order, and tried again until it is written.

Runs in: master.
"""

from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from brama.clock import Clock
from supervisor.updates.inbox.committing import Committer, Job, Report
from supervisor.updates.inbox.housekeeping import Housekeeping
from supervisor.updates.inbox.operations import KEPT, weight
from supervisor.updates.inbox.presence import Presence
from supervisor.updates.inbox.stall import Stall

#: Bounds of one group; what comes on top waits for the next commit.
_GROUP_ROWS = 1000
_GROUP_BYTES = 16 * 1024**2


class Writer:
    """Collects jobs, has them committed, and reports each turn's outcome.

    Args:
        committer: writes groups.
        housekeeping: used while there is nothing to write.
        stall: whether commits fail.
        presence: says when to look for the file while there is nothing to write.
        monotonic: clock of intervals.
        utc: clock of what is forgotten by age.
        report: takes each turn's report; called in the thread.
        close: called in the thread when all is written.
    """

    def __init__(
        self,
        committer: Committer,
        housekeeping: Housekeeping,
        stall: Stall,
        presence: Presence,
        *,
        monotonic: Clock,
        utc: Clock,
        report: Callable[[Report], None],
        close: Callable[[], None],
    ) -> None:
        self._committer = committer
        self._housekeeping = housekeeping
        self._stall = stall
        self._presence = presence
        self._monotonic = monotonic
        self._utc = utc
        self._report = report
        self._close = close
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._kept: deque[Job] = deque()
        self._thread = Thread(target=self._run, name="inbox-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def has_died(self) -> bool:
        """Return whether the thread has ended unasked, by a defect."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Queue a job; never blocks. A job that was submitted earlier is committed no later."""
        self._queue.put(job)

    def stop(self) -> int:
        """Write what is queued, close the file, end the thread; blocks meanwhile.

        Returns:
            How many operations could not be written and are lost with this process.
        """
        if not self._thread.is_alive():
            self._close()
            return 0
        self._queue.put(None)
        self._thread.join()
        return len(self._kept)

    # --- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        stopping = False
        while not stopping:
            jobs, stopping = self._collect()
            report = Report()
            self._turn(jobs, report, stopping=stopping)
            report.stalled = self._stall.reason
            self._report(report)
            if self._stall.reason is None and not stopping:
                self._keep_house(idle=not jobs)
        self._close()

    def _collect(self) -> tuple[list[Job], bool]:
        """Wait for a job, or for what is due; return what there is, within bounds, and whether to stop."""
        due_at = min(self._housekeeping.next_due_at(), self._presence.next_look_at())
        if self._stall.reason:
            due_at = self._stall.retry_at
        jobs: list[Job] = []
        rows = size = 0
        try:
            job = self._queue.get(timeout=max(due_at - self._monotonic(), 0.0))
            while job is not None:
                jobs.append(job)
                more_rows, more_bytes = weight(job.operation)
                rows += more_rows
                size += more_bytes
                if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
                    return jobs, False
                job = self._queue.get_nowait()
        except Empty:
            return jobs, False
        return jobs, True

    def _keep_house(self, *, idle: bool) -> None:
        changes = self._housekeeping.step(self._monotonic(), self._utc(), idle=idle)
        if changes:
            self._report(Report(changes=list(changes), stalled=self._stall.reason))

    def _turn(self, jobs: list[Job], report: Report, *, stopping: bool) -> None:
        refusable = [job for job in jobs if not isinstance(job.operation, KEPT)]
        self._kept.extend(job for job in jobs if isinstance(job.operation, KEPT))
        stall = self._stall
        if stall.reason and self._monotonic() < stall.retry_at and not stopping:
            report.refuse(refusable, stall.reason)
            return
        if self._kept or refusable:
            trouble = self._committer.write(self._kept, refusable, report)
        elif stall.reason:
            trouble = self._committer.probe()
        else:
            if (missing := self._committer.look()) is not None:
                stall.failed(missing, self._monotonic(), 0)
            return
        now = self._monotonic()
        if trouble is not None:
            size = max((weight(job.operation)[1] for job in refusable), default=0)
            stall.failed(trouble, now, size)
        elif stall.reason:
            stall.passed(now)
        self._housekeeping.wrote(now)
        if stopping and self._kept:
            report.refuse(list(self._kept), stall.reason or "the inbox is closed")
