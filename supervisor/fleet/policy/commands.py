"""Decides what the wishes of operators and of the configuration come to."""

from dataclasses import replace
from typing import assert_never

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.effects import CloseIngress, Effect, OpenIngress, Remember
from supervisor.fleet.policy.endings import end
from supervisor.fleet.policy.model import Limits, Phase, Sequel, Wanted, Worker
from supervisor.fleet.policy.moves import Decision, launch


def want_up(worker: Worker, now: float, limits: Limits, *, anew: bool) -> Decision:
    """``start``, or with ``anew`` ``restart``: never waits for the ladder, and begins a new budget."""
    first: tuple[Effect, ...] = ()
    if worker.wanted is not Wanted.RUNNING:
        first = (Remember(Wanted.RUNNING),)
    reason = reasons.RESTART_COMMANDED
    after, effects = _up(replace(worker, wanted=Wanted.RUNNING), now, limits, anew=anew, reason=reason)
    return after, (*first, *effects)


def want_down(worker: Worker, now: float, limits: Limits) -> Decision:
    """``stop``: also of a bot that is given up."""
    first: tuple[Effect, ...] = ()
    if worker.wanted is not Wanted.STOPPED:
        first = (Remember(Wanted.STOPPED),)
    unwanted = replace(worker, wanted=Wanted.STOPPED, unwanted_because=reasons.STOPPED_BY_COMMAND)
    after, effects = _down(unwanted, now, limits, reasons.STOP_COMMANDED)
    return after, (*first, *effects)


def enable(worker: Worker, now: float, limits: Limits) -> Decision:
    """The configuration wants it: as ``start``, and nothing is to be remembered."""
    return _up(replace(worker, wanted=Wanted.RUNNING), now, limits, anew=False, reason=reasons.ENTRY_CHANGED)


def disable(worker: Worker, now: float, limits: Limits, reason: str) -> Decision:
    """The configuration wants it no more: as ``stop``, and nothing is to be remembered."""
    return _down(replace(worker, wanted=Wanted.STOPPED, unwanted_because=reason), now, limits, reason)


def renew(worker: Worker, now: float, limits: Limits) -> Decision:
    """Its entry changed: as ``restart`` if it is wanted, else nothing before it is started, or woken."""
    if not worker.is_up or worker.phase is Phase.ASLEEP:
        return worker, ()
    return want_anew(worker, now, limits, reasons.ENTRY_CHANGED)


def want_anew(worker: Worker, now: float, limits: Limits, reason: str) -> Decision:
    """A bot that is wanted gets another process, and a new budget."""
    return _up(worker, now, limits, anew=True, reason=reason)


def shut_down(worker: Worker, now: float, limits: Limits, timeout_s: float) -> Decision:
    """The master ends: as ``stop``, with the fleet's deadline, and nothing that is wanted changes."""
    closing, closed = _close_ingress(replace(worker, shutting_down=True))
    after, effects = end(closing, now, limits, timeout_s, Sequel.STOP, reasons.SHUTTING_DOWN)
    return after, (*closed, *effects)


def _up(worker: Worker, now: float, limits: Limits, *, anew: bool, reason: str) -> Decision:
    first: tuple[Effect, ...] = ()
    if worker.ingress_open and not worker.identified and worker.phase is not Phase.IDENTITY:
        # Intake gave the token up; only opening anew asks Telegram again.
        worker, first = replace(worker, ingress_open=False), (CloseIngress(),)
    after, effects = _go_up(replace(worker, deaths=(), rung=0), now, limits, anew, reason)
    return after, (*first, *effects)


def _down(worker: Worker, now: float, limits: Limits, reason: str) -> Decision:
    closing, closed = _close_ingress(worker)
    after, effects = end(closing, now, limits, limits.stop_timeout_s, Sequel.STOP, reason)
    return after, (*closed, *effects)


def _go_up(worker: Worker, now: float, limits: Limits, anew: bool, reason: str) -> Decision:
    match worker.phase:
        case Phase.STOPPED | Phase.FATAL | Phase.COOLDOWN | Phase.CAPACITY | Phase.ASLEEP:
            return launch(worker)
        case Phase.IDENTITY | Phase.SPAWN:
            return worker, ()
        case Phase.BOOT | Phase.SERVE:
            if not anew:
                return worker, ()
            return end(worker, now, limits, limits.stop_timeout_s, Sequel.RESTART, reason)
        case Phase.ABORT | Phase.DRAIN | Phase.TERM | Phase.DUMP | Phase.KILL:
            back = replace(worker, sequel=Sequel.RESTART, reason=reason)
            if back.is_up and not back.ingress_open:
                return replace(back, ingress_open=True), (OpenIngress(),)
            return back, ()
        case _ as never:
            assert_never(never)


def _close_ingress(worker: Worker) -> Decision:
    if not worker.ingress_open:
        return worker, ()
    return replace(worker, ingress_open=False), (CloseIngress(),)
