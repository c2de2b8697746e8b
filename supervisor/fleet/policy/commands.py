"""Decides what the commands of operators come to."""

from dataclasses import replace
from typing import assert_never

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.effects import CloseIngress, Effect, OpenIngress, Remember
from supervisor.fleet.policy.endings import end
from supervisor.fleet.policy.model import Limits, Phase, Sequel, Wanted, Worker
from supervisor.fleet.policy.moves import Decision, launch


def want_up(worker: Worker, now: float, limits: Limits, *, anew: bool) -> Decision:
    """``start``, or with ``anew`` ``restart``: never waits for the ladder, and begins a new budget."""
    if not worker.enabled:
        return worker, ()
    first: tuple[Effect, ...] = ()
    if worker.wanted is not Wanted.RUNNING:
        first = (Remember(Wanted.RUNNING),)
    if worker.phase is Phase.FATAL and not worker.identified:
        # The poller gave the token up; only opening anew asks Telegram again.
        worker, first = replace(worker, ingress_open=False), (*first, CloseIngress())
    after, effects = _go_up(replace(worker, wanted=Wanted.RUNNING, deaths=(), rung=0), now, limits, anew)
    return after, (*first, *effects)


def want_down(worker: Worker, now: float, limits: Limits) -> Decision:
    """``stop``: also of a bot that is given up."""
    first: tuple[Effect, ...] = ()
    if worker.wanted is not Wanted.STOPPED:
        first = (Remember(Wanted.STOPPED),)
    closing, closed = _close_ingress(replace(worker, wanted=Wanted.STOPPED))
    after, effects = end(closing, now, limits, limits.stop_timeout_s, Sequel.STOP, reasons.STOP_COMMANDED)
    return after, (*first, *closed, *effects)


def shut_down(worker: Worker, now: float, limits: Limits, timeout_s: float) -> Decision:
    """The master ends: as ``stop``, with the fleet's deadline, and nothing that is wanted changes."""
    closing, closed = _close_ingress(replace(worker, shutting_down=True))
    after, effects = end(closing, now, limits, timeout_s, Sequel.STOP, reasons.SHUTTING_DOWN)
    return after, (*closed, *effects)


def _go_up(worker: Worker, now: float, limits: Limits, anew: bool) -> Decision:
    match worker.phase:
        case Phase.STOPPED | Phase.FATAL | Phase.COOLDOWN | Phase.CAPACITY:
            return launch(worker)
        case Phase.IDENTITY | Phase.SPAWN:
            return worker, ()
        case Phase.BOOT | Phase.SERVE:
            if not anew:
                return worker, ()
            timeout_s = limits.stop_timeout_s
            return end(worker, now, limits, timeout_s, Sequel.RESTART, reasons.RESTART_COMMANDED)
        case Phase.ABORT | Phase.DRAIN | Phase.TERM | Phase.DUMP | Phase.KILL:
            back = replace(worker, sequel=Sequel.RESTART, reason=reasons.RESTART_COMMANDED)
            if back.is_up and not back.ingress_open:
                return replace(back, ingress_open=True), (OpenIngress(),)
            return back, ()
        case _ as never:
            assert_never(never)


def _close_ingress(worker: Worker) -> Decision:
    if not worker.ingress_open:
        return worker, ()
    return replace(worker, ingress_open=False), (CloseIngress(),)
