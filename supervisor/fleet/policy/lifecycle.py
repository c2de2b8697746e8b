"""Decides what becomes of a worker: a total function of its phase and what happened.

Wanted is kept apart from is; one deadline at a time. An event that a phase has no use for changes nothing.
docs/states.md is this function written out.
"""

from dataclasses import replace
from typing import assert_never

from brama.exit_codes import ExitCode
from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.commands import disable, enable, renew, shut_down, want_down, want_up
from supervisor.fleet.policy.effects import KillGroup, OpenDelivery, SendBoot
from supervisor.fleet.policy.endings import (
    KILL_AGAIN_S,
    after_deadline,
    after_limits,
    end,
    end_after_last_words,
    end_asleep,
    end_over_memory,
    end_unheard,
)
from supervisor.fleet.policy.events import (
    BootFailed,
    CapacityFreed,
    CapacityRefused,
    CodeChanged,
    DeadlinePassed,
    Disabled,
    Enabled,
    EntryChanged,
    Event,
    HeartbeatReceived,
    IdentityKnown,
    IdentityUnreachable,
    LimitsChanged,
    LinkBroken,
    MasterStarted,
    MemorySampled,
    ReadyReceived,
    RestartCommanded,
    Retired,
    ShutdownCommanded,
    SleepAgreed,
    SleepRefused,
    SpawnFailed,
    SpawnSucceeded,
    StartCommanded,
    StopCommanded,
    TokenRejected,
    UpdatesWaited,
    WorkerExited,
)
from supervisor.fleet.policy.model import ALIVE, Limits, Phase, Sequel, Worker
from supervisor.fleet.policy.moves import Decision, follow, launch, sleep
from supervisor.fleet.policy.succession import renew_code, retire


def step(worker: Worker, event: Event, now: float, limits: Limits) -> Decision:
    """Return the worker after ``event`` and what is to be done, in order.

    Args:
        worker: as the last step left it.
        event: what happened; of a process, always the current generation's.
        now: monotonic seconds.
        limits: the knobs this bot is judged by.
    """
    match event:
        case MasterStarted(slept):
            if worker.phase is not Phase.STOPPED:
                return worker, ()
            if slept and worker.is_up and _may_sleep(limits):
                return sleep(replace(worker, starts=max(worker.starts, 1)))
            return launch(worker)
        case StartCommanded():
            return want_up(worker, now, limits, anew=False)
        case RestartCommanded():
            return want_up(worker, now, limits, anew=True)
        case StopCommanded():
            return want_down(worker, now, limits)
        case ShutdownCommanded(timeout_s):
            return shut_down(worker, now, limits, timeout_s)
        case Retired():
            return retire(worker, now, limits)
        case CodeChanged():
            return renew_code(worker, now, limits)
        case Enabled():
            return enable(worker, now, limits)
        case Disabled(reason):
            return disable(worker, now, limits, reason)
        case EntryChanged():
            return renew(worker, now, limits)
        case LimitsChanged():
            if worker.phase is Phase.ASLEEP and not _may_sleep(limits):
                return launch(worker)
            return after_limits(worker, limits), ()
        case IdentityKnown():
            known = replace(worker, identified=True)
            return launch(known) if worker.phase is Phase.IDENTITY else (known, ())
        case IdentityUnreachable(detail):
            asking = worker.phase is Phase.IDENTITY
            return replace(worker, reason=reasons.unreachable(detail)) if asking else worker, ()
        case TokenRejected(detail):
            return _after_rejection(replace(worker, identified=False), now, limits, detail)
        case UpdatesWaited():
            return launch(worker) if worker.phase is Phase.ASLEEP else (worker, ())
        case SpawnSucceeded(pid):
            return _after_spawn(worker, now, limits, pid)
        case SpawnFailed(detail):
            return _after_no_spawn(worker, now, limits, detail)
        case CapacityRefused(reason):
            if worker.phase is not Phase.SPAWN:
                return _after_no_spawn(worker, now, limits, reason)
            unused = worker.generation - 1
            return replace(worker, phase=Phase.CAPACITY, generation=unused, reason=reason), ()
        case CapacityFreed():
            return launch(worker) if worker.phase is Phase.CAPACITY else (worker, ())
        case ReadyReceived():
            return _after_ready(worker, now, limits)
        case BootFailed(permanent, detail):
            return end_after_last_words(worker, now, permanent, detail)
        case HeartbeatReceived(uss_bytes):
            if worker.phase not in ALIVE:
                return worker, ()
            beaten = replace(worker, heartbeat_at=now)
            return end_over_memory(beaten, now, limits, uss_bytes) if uss_bytes else (beaten, ())
        case SleepAgreed():
            return end_asleep(worker, now, limits)
        case SleepRefused(reason):
            serving = worker.phase is Phase.SERVE
            return replace(worker, reason=reasons.stays_awake(reason)) if serving else worker, ()
        case MemorySampled(private_bytes):
            return end_over_memory(worker, now, limits, private_bytes)
        case LinkBroken(detail):
            return end_unheard(worker, now, detail)
        case WorkerExited():
            return _after_exit(worker, event, now, limits) if worker.phase in ALIVE else (worker, ())
        case DeadlinePassed():
            return after_deadline(worker, now, limits)
        case _ as never:
            assert_never(never)


def _may_sleep(limits: Limits) -> bool:
    return limits.idle_timeout_s is not None


def _after_rejection(worker: Worker, now: float, limits: Limits, detail: str) -> Decision:
    """Telegram knows the token no more: no attempt helps before it is changed."""
    if worker.phase is Phase.STOPPED or worker.sequel is Sequel.STOP:
        return worker, ()
    reason = reasons.rejected(detail)
    return end(worker, now, limits, limits.stop_timeout_s, Sequel.GIVE_UP, reason)


def _after_spawn(worker: Worker, now: float, limits: Limits, pid: int) -> Decision:
    started = replace(worker, pid=pid, started_at=now, heartbeat_at=now, starts=worker.starts + 1)
    if worker.phase is Phase.SPAWN:
        return replace(started, phase=Phase.BOOT, deadline_at=now + limits.start_timeout_s), (SendBoot(),)
    if worker.phase is Phase.ABORT:
        return replace(started, phase=Phase.KILL, deadline_at=now + KILL_AGAIN_S), (KillGroup(),)
    return worker, ()


def _after_no_spawn(worker: Worker, now: float, limits: Limits, detail: str) -> Decision:
    if worker.phase is Phase.SPAWN:
        return follow(worker, Sequel.DEFER, now, limits, f"could not be started: {detail}")
    if worker.phase is Phase.ABORT:
        return follow(worker, worker.sequel or Sequel.STOP, now, limits, worker.reason or detail)
    return worker, ()


def _after_ready(worker: Worker, now: float, limits: Limits) -> Decision:
    if worker.phase is not Phase.BOOT:
        return worker, ()
    overdue_at = now + limits.worker_timeout_s
    running = replace(worker, phase=Phase.SERVE, reason=None, heartbeat_at=now, deadline_at=overdue_at)
    return running, (OpenDelivery(),)


def _after_exit(worker: Worker, exited: WorkerExited, now: float, limits: Limits) -> Decision:
    """Find the cause: our own doing, what the exit code says, or a death."""
    if worker.sequel is not None:
        sequel, reason = worker.sequel, worker.reason or ""
    elif exited.code == ExitCode.CONFIG:
        sequel, reason = Sequel.GIVE_UP, f"exit code {exited.code}: it cannot run as it is configured"
    elif exited.code == ExitCode.TEMPORARY:
        sequel, reason = Sequel.DEFER, f"exit code {exited.code}: try again later"
    else:
        sequel, reason = Sequel.DEATH, reasons.describe_exit(exited.code, exited.signal)
    if sequel is Sequel.DEATH and exited.charged:
        sequel = Sequel.RESTART
    return follow(worker, sequel, now, limits, reason)
