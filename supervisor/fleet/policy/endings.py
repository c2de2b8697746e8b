"""Decides how a process is ended: politely, hurriedly, or with its stacks written down first.

What follows is decided when the end begins, and may be changed until the process is gone.
"""

from dataclasses import replace
from typing import assert_never

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.effects import (
    CancelSpawn,
    DumpStacks,
    Effect,
    HoldDelivery,
    KillGroup,
    SendDrain,
    Terminate,
)
from supervisor.fleet.policy.model import Limits, Phase, Sequel, Worker
from supervisor.fleet.policy.moves import Decision, give_up, launch

#: Part of the stop timeout that a drain has before SIGTERM.
TERM_AT = 0.8
#: From asking a hung process for its stacks to SIGKILL.
DUMP_S = 5.0
#: From a worker's word that it exits to SIGKILL.
LAST_WORDS_S = 5.0
#: What a worker that is still booting, so has begun nothing, gets to end.
BOOT_STOP_S = 10.0
#: SIGKILL is repeated at this interval while a process does not go.
KILL_AGAIN_S = 10.0
#: Consecutive samples over the memory cap that recycle a worker.
SAMPLES_OVER = 3
#: A deadline noticed this late means that the master itself stood still; nobody is judged by such a clock.
STOOD_STILL_S = 5.0


def end(
    worker: Worker, now: float, limits: Limits, timeout_s: float, sequel: Sequel, reason: str
) -> Decision:
    """End the process, if there is one, within ``timeout_s`` seconds by our wish; ``sequel`` follows."""
    match worker.phase:
        case Phase.STOPPED | Phase.IDENTITY | Phase.COOLDOWN | Phase.CAPACITY | Phase.FATAL | Phase.ASLEEP:
            return give_up(worker, reason) if sequel is Sequel.GIVE_UP else launch(worker)
        case Phase.SPAWN:
            aborting = replace(worker, phase=Phase.ABORT, sequel=sequel, reason=reason, commanded=True)
            return aborting, (CancelSpawn(worker.generation),)
        case Phase.BOOT:
            kill_at = now + min(BOOT_STOP_S, timeout_s)
            going = replace(worker, phase=Phase.TERM, kill_at=kill_at, deadline_at=kill_at, commanded=True)
            going = replace(going, sequel=sequel, reason=reason)
            return _unless_overdue(going, (SendDrain(), Terminate()), now)
        case Phase.SERVE:
            term_at = now + TERM_AT * timeout_s
            going = replace(
                worker, phase=Phase.DRAIN, term_at=term_at, kill_at=now + timeout_s, commanded=True
            )
            going = replace(going, sequel=sequel, reason=reason, deadline_at=_drain_deadline(going, limits))
            return _unless_overdue(going, (HoldDelivery(), SendDrain()), now)
        case Phase.DRAIN:
            term_at = _sooner(worker.term_at, now + TERM_AT * timeout_s)
            going = replace(worker, term_at=term_at, kill_at=_sooner(worker.kill_at, now + timeout_s))
            going = replace(going, deadline_at=_drain_deadline(going, limits))
            return _unless_overdue(replace(going, sequel=sequel, reason=reason), (), now)
        case Phase.TERM | Phase.DUMP:
            kill_at = _sooner(worker.deadline_at, now + timeout_s)
            going = replace(worker, kill_at=kill_at, deadline_at=kill_at, sequel=sequel, reason=reason)
            return _unless_overdue(going, (), now)
        case Phase.ABORT | Phase.KILL:
            return replace(worker, sequel=sequel, reason=reason), ()
        case _ as never:
            assert_never(never)


def end_after_last_words(worker: Worker, now: float, permanent: bool, detail: str) -> Decision:
    """The worker said why it exits, and is killed should it not."""
    if worker.phase not in (Phase.BOOT, Phase.SERVE):
        return worker, ()
    going = replace(worker, phase=Phase.TERM, deadline_at=now + LAST_WORDS_S, commanded=True, reason=detail)
    return replace(going, sequel=Sequel.GIVE_UP if permanent else Sequel.DEFER), _hold(worker)


def end_unheard(worker: Worker, now: float, detail: str) -> Decision:
    """Kill a worker that can neither hear nor be heard any more."""
    if worker.phase not in (Phase.BOOT, Phase.SERVE):
        return worker, ()
    going = replace(worker, phase=Phase.KILL, deadline_at=now + KILL_AGAIN_S, reason=detail)
    return replace(going, sequel=Sequel.DEATH), (*_hold(worker), KillGroup())


def end_asleep(worker: Worker, now: float, limits: Limits) -> Decision:
    """The worker agreed to sleep and drains already."""
    if worker.phase is not Phase.SERVE:
        return worker, ()
    going, effects = end(worker, now, limits, limits.stop_timeout_s, Sequel.SLEEP, reasons.FALLING_ASLEEP)
    return going, tuple(effect for effect in effects if not isinstance(effect, SendDrain))


def end_over_memory(worker: Worker, now: float, limits: Limits, used_bytes: int) -> Decision:
    """Recycle a worker whose memory is over the cap for several samples in a row."""
    if worker.phase is not Phase.SERVE:
        return worker, ()
    over = worker.samples_over + 1 if used_bytes > limits.memory_bytes else 0
    counted = worker if over == worker.samples_over else replace(worker, samples_over=over)
    if over < SAMPLES_OVER:
        return counted, ()
    reason = reasons.over_memory(used_bytes, limits.memory_bytes)
    return end(counted, now, limits, limits.stop_timeout_s, Sequel.RECYCLE, reason)


def after_deadline(worker: Worker, now: float, limits: Limits) -> Decision:
    """Return what follows when the phase's time is over."""
    if worker.deadline_at is None or now < worker.deadline_at:
        return worker, ()
    stood_still = now - worker.deadline_at > STOOD_STILL_S
    match worker.phase:
        case Phase.BOOT:
            if stood_still:
                return replace(worker, deadline_at=now + limits.start_timeout_s), ()
            given_up = replace(
                worker, sequel=Sequel.GIVE_UP, reason=reasons.not_polling(limits.start_timeout_s)
            )
            return _dump(given_up, now, ())
        case Phase.SERVE:
            overdue_at = _heartbeat_due(worker, limits)
            if overdue_at > now:
                return replace(worker, deadline_at=overdue_at), ()
            if stood_still:
                return replace(worker, deadline_at=now + limits.worker_timeout_s), ()
            hung = replace(worker, sequel=Sequel.DEATH, reason=reasons.hung(limits.worker_timeout_s))
            return _dump(hung, now, (HoldDelivery(),))
        case Phase.DRAIN:
            if worker.term_at is None or now >= worker.term_at:
                return replace(worker, phase=Phase.TERM, deadline_at=worker.kill_at), (Terminate(),)
            if _heartbeat_due(worker, limits) > now:
                return replace(worker, deadline_at=_drain_deadline(worker, limits)), ()
            return _dump(worker, now, ())
        case Phase.TERM | Phase.DUMP | Phase.KILL:
            return replace(worker, phase=Phase.KILL, deadline_at=now + KILL_AGAIN_S), (KillGroup(),)
        case Phase.COOLDOWN:
            return launch(worker)
        case Phase.STOPPED | Phase.IDENTITY | Phase.SPAWN | Phase.ABORT | Phase.CAPACITY:
            return worker, ()
        case Phase.FATAL | Phase.ASLEEP:
            return worker, ()
        case _ as never:
            assert_never(never)


def after_limits(worker: Worker, limits: Limits) -> Worker:
    """Return the worker judged by ``limits`` from now on; an end that has begun keeps its deadline."""
    if worker.phase is Phase.SERVE:
        reason = worker.reason if limits.idle_timeout_s is not None else None
        return replace(worker, deadline_at=_heartbeat_due(worker, limits), reason=reason)
    if worker.phase is Phase.BOOT:
        return replace(worker, deadline_at=(worker.started_at or 0.0) + limits.start_timeout_s)
    return worker


def _dump(worker: Worker, now: float, first: tuple[Effect, ...]) -> Decision:
    deadline_at = _sooner(worker.kill_at, now + DUMP_S)
    return replace(worker, phase=Phase.DUMP, deadline_at=deadline_at), (*first, DumpStacks())


def _hold(worker: Worker) -> tuple[Effect, ...]:
    return (HoldDelivery(),) if worker.phase is Phase.SERVE else ()


def _unless_overdue(worker: Worker, effects: tuple[Effect, ...], now: float) -> Decision:
    """Kill at once if there is no time to be polite."""
    if worker.kill_at is None or worker.kill_at > now:
        return worker, effects
    hold = tuple(effect for effect in effects if isinstance(effect, HoldDelivery))
    return replace(worker, phase=Phase.KILL, deadline_at=now + KILL_AGAIN_S), (*hold, KillGroup())


def _heartbeat_due(worker: Worker, limits: Limits) -> float:
    return (worker.heartbeat_at or 0.0) + limits.worker_timeout_s


def _drain_deadline(worker: Worker, limits: Limits) -> float:
    return _sooner(worker.term_at, _heartbeat_due(worker, limits))


def _sooner(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
