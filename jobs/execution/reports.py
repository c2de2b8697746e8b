"""Carries what handlers report to the engine, in order.

Runs in: job worker.
"""

import asyncio

from brama.log import get_logger
from jobs.context import LogLine, Progress, Report
from jobs.engine.port import TakenJob

log = get_logger(__name__)

#: For how long the end of a job waits for its last reports, in seconds.
_FLUSH_S = 5.0


class Reports:
    """The reports of one attempt. One that cannot be stored is lost: the work goes on."""

    def __init__(self, job: TakenJob) -> None:
        self._job = job
        self._waiting: list[Report] = []
        self._sending: asyncio.Task[None] | None = None

    def add(self, report: Report) -> None:
        """Store ``report`` soon."""
        self._waiting.append(report)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def flush(self) -> None:
        """Return when everything is stored, or has taken too long."""
        if self._sending is not None and not self._sending.done():
            await asyncio.wait({self._sending}, timeout=_FLUSH_S)
            self._sending.cancel()

    async def _send(self) -> None:
        while self._waiting:
            report = self._waiting.pop(0)
            try:
                match report:
                    case Progress(value):
                        await self._job.report_progress(value)
                    case LogLine(text):
                        await self._job.log(text)
            except Exception as error:
                log.warning("job.report_lost", queue=self._job.queue, job=self._job.job_id, error=str(error))
