"""Decides what becomes of a job worker: when it starts again, when it is drained, killed, or given up.

Pure. A process that is to end gets a request, is hurried before its time is over, and killed after it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from brama.exit_codes import ExitCode
from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.model import Limits, State
from supervisor.fleet.policy.restarts import FORGIVEN_AFTER_S, decide_after_death

#: How long a drained worker may take at most: it hands its jobs back after 30 s and ends within 35.
DRAIN_S = 37.0
#: So long before it is killed a draining worker is hurried: time to end handlers, and to hand jobs back.
HURRY_S = 7.0
#: How long a worker that uses too much memory may take to end its jobs. It is killed before it would hand
#: them back: the job that uses it all has to spend an attempt, lest it go round all workers.
FINISH_S = 25.0
#: How long a hung worker may take to write its stacks down.
DUMP_S = 5.0
#: A worker has to say that it takes jobs this long after its start: a server that is away is waited for then.
START_S = 60.0
#: So many samples above the cap in a row, and the worker is drained.
SAMPLES = 3
_RECYCLED = "restarting: it used too much memory"


class Act(StrEnum):
    """What is to be done to a process."""

    #: Start one.
    SPAWN = "spawn"
    #: SIGTERM: it ends once its jobs are through, or handed back after 30 s.
    DRAIN = "drain"
    #: SIGTERM again: it hands its jobs back now.
    HURRY = "hurry"
    #: SIGABRT: it writes down where it stands, and ends.
    DUMP = "dump"
    #: SIGKILL, with all it has started.
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker is judged by.

    Args:
        timeout_s: without a beat for this long it is hung.
        memory_bytes: private memory of it and its children above which it is drained.
        restarts: what follows deaths.
    """

    timeout_s: float
    memory_bytes: int
    restarts: Limits


@dataclass(frozen=True, slots=True)
class Worker:
    """One of the places for a worker, and what stands in it. Moments are monotonic seconds.

    Args:
        state: STARTING, RUNNING, STOPPING, BACKOFF, FATAL or STOPPED.
        reason: why it is not RUNNING, one line.
        started_at: since when its process runs.
        heard_at: when its last beat came.
        act_at: when something has to happen if nothing else does: the next start, or the next step to an end.
        kill_at: when a process that is stopping is killed; never before ``act_at``.
        deaths: moments of those that count.
        rung: of the ladder of waits.
        over: samples above the memory cap in a row.
        successor: whether another follows a process that is stopping.
        charged: whether the end of a process that is stopping counts as a death, ``reason`` being its cause.
        restarts: processes after the first.
    """

    state: State = State.STOPPED
    reason: str | None = None
    started_at: float = 0.0
    heard_at: float | None = None
    act_at: float | None = None
    kill_at: float | None = None
    deaths: tuple[float, ...] = ()
    rung: int = 0
    over: int = 0
    successor: bool = True
    charged: bool = False
    restarts: int = -1


Step = tuple[Worker, Act | None]
_ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})


def begun(worker: Worker, now: float) -> Worker:
    """Return a worker whose process was started just now."""
    return replace(
        worker,
        state=State.STARTING,
        reason=None,
        started_at=now,
        heard_at=None,
        act_at=now + START_S,
        kill_at=None,
        over=0,
        successor=True,
        charged=False,
        restarts=worker.restarts + 1,
    )


def heard(worker: Worker, now: float) -> Worker:
    """Return a worker that has said that it takes jobs."""
    if worker.state is State.STARTING:
        worker = replace(worker, state=State.RUNNING, act_at=None)
    return replace(worker, heard_at=now)


def refused(worker: Worker, detail: str) -> Worker:
    """Return a worker that has said why it is about to end."""
    return replace(worker, reason=detail)


def measured(worker: Worker, memory_bytes: int, now: float, terms: Terms) -> Step:
    """Return what follows a sample of a worker's memory."""
    if worker.state is not State.RUNNING:
        return worker, None
    worker = replace(worker, over=worker.over + 1 if memory_bytes > terms.memory_bytes else 0)
    if worker.over < SAMPLES:
        return worker, None
    used, cap = reasons.megabytes(memory_bytes), reasons.megabytes(terms.memory_bytes)
    reason = f"uses {used}, more than {cap} (jobs.memory_per_worker)"
    early = now - worker.started_at < FORGIVEN_AFTER_S
    end_at = now + FINISH_S
    reason = reason if early else _RECYCLED
    return _stopping(worker, reason, end_at, end_at, charged=early), Act.DRAIN


def looked_at(worker: Worker, now: float, terms: Terms) -> Step:
    """Return what has to happen by now because nothing else did."""
    if worker.state is State.RUNNING:
        last = worker.started_at if worker.heard_at is None else worker.heard_at
        if now - last < terms.timeout_s:
            return worker, None
        reason = f"hung: no heartbeat for {reasons.seconds(terms.timeout_s)} (jobs.worker_timeout)"
        return _dumping(worker, reason, now)
    if worker.act_at is None or now < worker.act_at:
        return worker, None
    match worker.state:
        case State.STARTING:
            reason = f"takes no jobs {reasons.seconds(START_S)} after its start"
            return _dumping(worker, reason, now)
        case State.STOPPING if worker.kill_at is not None and now < worker.kill_at:
            return replace(worker, act_at=worker.kill_at), Act.HURRY
        case State.STOPPING:
            return _killing(worker, now)
        case _:
            return worker, Act.SPAWN


def stopped(worker: Worker, now: float, reason: str, timeout_s: float) -> Step:
    """Return what ends a worker for good, within ``timeout_s`` seconds; 0: at once.

    One that is stopping already gets no more time than it had.
    """
    if worker.state not in _ALIVE:
        return replace(worker, state=State.STOPPED, reason=reason, act_at=None), None
    if timeout_s <= 0:
        return _killing(replace(worker, state=State.STOPPING, reason=reason, successor=False), now)
    draining, act = _draining(worker, reason, now, min(timeout_s, DRAIN_S), charged=False)
    draining = replace(draining, successor=False)
    if worker.state is not State.STOPPING or worker.kill_at is None or worker.act_at is None:
        return draining, act
    assert draining.kill_at is not None
    assert draining.act_at is not None
    is_hurried = worker.act_at == worker.kill_at
    kill_at = min(worker.kill_at, draining.kill_at)
    act_at = kill_at if is_hurried else min(worker.act_at, draining.act_at)
    return replace(draining, act_at=act_at, kill_at=kill_at), None


def renewed(worker: Worker, now: float) -> Step:
    """Return what replaces a worker's process by another of new code or terms."""
    if worker.state in {State.STARTING, State.RUNNING}:
        return _draining(worker, reasons.CODE_CHANGED, now, DRAIN_S, charged=False)
    return worker, None


def ended(worker: Worker, code: int | None, signal: str | None, now: float, terms: Terms) -> Step:
    """Return what follows the end of a worker's process."""
    if worker.state is State.STOPPING and not worker.successor:
        return replace(worker, state=State.STOPPED, act_at=None, kill_at=None), None
    if worker.state is State.STOPPING and not worker.charged:
        return replace(worker, state=State.BACKOFF, act_at=now, kill_at=None), Act.SPAWN
    worker = replace(worker, kill_at=None)
    cause = worker.reason or reasons.describe_exit(code, signal)
    if code == ExitCode.CONFIG:
        return replace(worker, state=State.FATAL, reason=cause, act_at=None), None
    verdict = decide_after_death(
        worker.deaths, worker.rung, now - worker.started_at, now, cause, terms.restarts
    )
    worker = replace(worker, deaths=verdict.deaths, rung=verdict.rung, reason=verdict.reason)
    if verdict.wait_s is None:
        return replace(worker, state=State.FATAL, act_at=None), None
    return replace(worker, state=State.BACKOFF, act_at=now + verdict.wait_s), None


def _draining(worker: Worker, reason: str, now: float, limit_s: float, *, charged: bool) -> Step:
    kill_at = now + limit_s
    hurry_at = max(now, kill_at - HURRY_S)
    return _stopping(worker, reason, hurry_at, kill_at, charged=charged), Act.DRAIN


def _dumping(worker: Worker, reason: str, now: float) -> Step:
    return _stopping(worker, reason, now + DUMP_S, now + DUMP_S, charged=True), Act.DUMP


def _killing(worker: Worker, now: float) -> Step:
    """Kill, and kill again should it take long."""
    return replace(worker, act_at=now + DUMP_S, kill_at=now + DUMP_S), Act.KILL


def _stopping(worker: Worker, reason: str, act_at: float, kill_at: float, *, charged: bool) -> Worker:
    return replace(
        worker,
        state=State.STOPPING,
        reason=reason,
        act_at=act_at,
        kill_at=kill_at,
        charged=charged,
        over=0,
    )
