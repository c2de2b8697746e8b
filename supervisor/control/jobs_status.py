"""What the status says of the job queue; part of the same public format, so a field is only ever added.

Runs in: master | command line.
"""

from enum import StrEnum

import msgspec


class EngineState(StrEnum):
    """How the queue's server is."""

    #: It takes jobs and hands them out.
    OK = "ok"
    #: Jobs are accepted and wait in the outbox: it is full, or set up in a way that can lose jobs.
    DEGRADED = "degraded"
    #: It does not answer: jobs are accepted and wait in the outbox. Or that cannot be opened: none is.
    DOWN = "down"


class JobQueueStatus(msgspec.Struct, frozen=True):
    """One queue. ``waiting`` counts jobs a worker can take, ``completed`` and ``failed`` those still kept."""

    name: str
    waiting: int
    active: int
    delayed: int
    completed: int
    failed: int
    is_paused: bool


class JobWorkerStatus(msgspec.Struct, frozen=True):
    """One job worker; it is named by its place in the list, from 1 on.

    ``state`` is a fleet state (RUNNING, BACKOFF, ...), ``reason`` a sentence or None. ``pid`` is None while
    no process runs. ``uptime`` is in milliseconds. ``active`` counts jobs in hand, ``done`` and ``failed``
    those that this process has completed and those that it gave up. ``restarts`` counts processes after the
    first. ``heartbeat_age_ms`` is None before the first heartbeat.
    """

    pid: int | None
    state: str
    uptime: int
    active: int
    done: int
    failed: int
    memory_bytes: int
    restarts: int
    heartbeat_age_ms: int | None
    reason: str | None = None


class JobAlertStatus(msgspec.Struct, frozen=True):
    """How ``jobs.alert`` fares since the master started.

    ``waiting`` counts dead letters to be told of, ``told`` those that were, ``dropped`` those that the other
    side refused for good or that grew too old; ``failures`` counts posts that failed, ``error`` says why the
    last one did, None if it did not.
    """

    waiting: int
    told: int
    dropped: int
    failures: int
    error: str | None


class JobsStatus(msgspec.Struct, frozen=True):
    """The job queue.

    ``reason`` says why ``engine`` is not ok. ``server`` is the server's address without credentials,
    ``server_pid`` its process if it is ours. ``waiting``, ``active``, ``delayed`` and ``failed`` are sums
    over the queues, as of when the server last answered. ``dead_letters`` counts open ones, ``causes`` the
    same by cause. ``outbox`` counts jobs that wait here for the server. ``alert`` is None without
    ``jobs.alert``. ``unserved`` names queues whose jobs nobody takes.
    """

    engine: EngineState
    reason: str | None
    server: str
    server_pid: int | None
    waiting: int
    active: int
    delayed: int
    failed: int
    dead_letters: int
    outbox: int
    workers: tuple[JobWorkerStatus, ...] = ()
    queues: tuple[JobQueueStatus, ...] = ()
    causes: dict[str, int] = {}
    alert: JobAlertStatus | None = None
    unserved: tuple[str, ...] = ()
