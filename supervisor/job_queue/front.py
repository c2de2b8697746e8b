"""Opens the job queue where the configuration has one; its libraries are loaded only then.

Runs in: master.
"""

import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from brama.config.settings import Settings
from supervisor.control.job_ports import Jobs as Operations
from supervisor.control.jobs_status import JobsStatus
from supervisor.fleet.ports import JobDesk
from supervisor.job_workers.records import JobsRecord
from supervisor.updates.policy.job_entries import JobEnd, JobOrigin

#: Where the name is kept by which other masters on the same server know this one.
_NAME_KEY = "jobs.name"


#: Commits the end of a job to the inbox of the bot that has asked for it; see ``JobResults``.
Deliver = Callable[[JobOrigin, JobEnd], Awaitable[bool]]


class Jobs(Protocol):
    """The job queue."""

    @property
    def operations(self) -> Operations | None: ...
    def status(self) -> JobsStatus | None: ...
    @property
    def pids(self) -> frozenset[int]: ...
    @property
    def desk(self) -> JobDesk | None: ...
    def start_workers(self) -> None: ...
    async def drain(self, timeout_s: float) -> None: ...
    async def aclose(self) -> None: ...
    def draft(self) -> JobsRecord: ...
    async def hand_over(self) -> JobsRecord: ...


class Store(Protocol):
    """Who keeps small values over restarts: the ledger."""

    async def remember(self, key: str, value: bytes) -> None: ...
    def recall_one(self, key: str) -> bytes | None: ...


async def open_jobs(
    settings: Settings,
    store: Store,
    deliver: Deliver,
    left: JobsRecord | None,
) -> Jobs | None:
    """Return the job queue, its workers still to be started, or its end; None if there is none.

    Args:
        settings: the configuration.
        store: remembers this master's name.
        deliver: commits a result to the inbox of the bot that waits for it.
        left: the queue of the master before; ended if there is to be none any more.

    Raises:
        StateError: the state directory is of no use.
    """
    if not settings.jobs.enabled and left is None:
        return None
    from supervisor.job_queue.dismissal import Dismissal
    from supervisor.job_queue.office import JobOffice

    if not settings.jobs.enabled:
        assert left is not None
        dismissal = Dismissal(settings, left)
        await dismissal.start()
        return dismissal
    if (name := store.recall_one(_NAME_KEY)) is None:
        name = secrets.token_hex(8).encode()
        await store.remember(_NAME_KEY, name)
    jobs = JobOffice(settings, os.environ, name=name.decode(), deliver=deliver, left=left)
    await jobs.start()
    return jobs
