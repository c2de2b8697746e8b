"""Ends what a master before has left of a job queue that the configuration has no more.

Runs in: master.
"""

import asyncio
import os

from brama.config.settings import Settings
from brama.errors import BramaError
from brama.log import get_logger
from brama.marks import instance_of
from jobs.engine.programs import find_program
from jobs.engine.server import LeftServer, QueueServer
from supervisor.fleet.boot import common_limits
from supervisor.job_workers.keeper import Keeper
from supervisor.job_workers.policy.keeping import DRAIN_S, Terms
from supervisor.job_workers.process import Command
from supervisor.job_workers.records import JobsRecord

log = get_logger(__name__)


def judged_by(settings: Settings) -> Terms:
    """Return the terms that ``settings`` judge job workers by."""
    return Terms(settings.jobs.worker_timeout, settings.jobs.memory_per_worker, common_limits(settings))


class Dismissal:
    """A queue on its way out: its workers hand back what they have, then its server ends.

    Args:
        settings: the configuration.
        left: what there is.
    """

    def __init__(self, settings: Settings, left: JobsRecord) -> None:
        instance = instance_of(settings.state_dir)
        self._settings = settings
        self._left = left
        self._keeper = Keeper(_nothing, 0, judged_by(settings), instance, left.workers)
        self._server: QueueServer | None = None
        self._ending: asyncio.Task[None] | None = None

    #: Nobody takes jobs over, nor answers about them.
    desk = None
    operations = None

    def status(self) -> None:
        """There is no queue any more."""

    @property
    def pids(self) -> frozenset[int]:
        """Processes whose exit status is waited for here."""
        server = self._server.pid if self._server else None
        return self._keeper.pids | (frozenset() if server is None else {server})

    async def start(self) -> None:
        """Begin to end it all."""
        left = self._left
        if left.listener >= 0:
            os.close(left.listener)
        if left.server_lock >= 0:
            try:
                server = QueueServer(find_program(), self._settings.state_dir)
                await server.start(LeftServer(left.server_pid, left.server_lock))
                self._server = server
            except (BramaError, OSError) as error:
                log.error("queue.server_not_started", error=str(error))
        self._ending = asyncio.create_task(self._end(), name="jobs: dismissal")

    def start_workers(self) -> None:
        """There are none to be started."""

    async def drain(self, timeout_s: float) -> None:
        """End the workers within ``timeout_s`` seconds."""
        await self._keeper.stop(timeout_s)

    async def aclose(self) -> None:
        """End everything now."""
        await self._keeper.stop(0)
        if self._ending is not None:
            await self._ending

    def draft(self) -> JobsRecord:
        """Return what ``hand_over`` would, without descriptors."""
        return JobsRecord(workers=self._keeper.draft())

    async def hand_over(self) -> JobsRecord:
        """Let go of what is left, and return what the next master needs to end it."""
        workers = await self._keeper.hand_over()
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait([self._ending])
        if self._server is None:
            return JobsRecord(workers=workers)
        server = await self._server.hand_over()
        return JobsRecord(server_pid=server.pid, server_lock=server.lock, workers=workers)

    async def _end(self) -> None:
        await self._keeper.stop(DRAIN_S)
        if self._server is not None:
            await self._server.stop()
            self._server = None
        log.info("queue.dismissed")


def _nothing(index: int) -> Command:
    raise AssertionError(f"there is no worker {index} to be executed")
