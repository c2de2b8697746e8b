"""The moves of a worker that has no process: up, to rest, to sleep, to wait, to be given up."""

from dataclasses import replace
from typing import assert_never

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.effects import Effect, OpenIngress, Spawn
from supervisor.fleet.policy.model import Limits, Phase, Sequel, Wanted, Worker
from supervisor.fleet.policy.restarts import (
    FORGIVEN_AFTER_S,
    decide_after_death,
    decide_after_deferral,
    next_rung,
)

Decision = tuple[Worker, tuple[Effect, ...]]


def launch(worker: Worker) -> Decision:
    """Begin the way up, or rest if that is what is wanted."""
    if not worker.is_up:
        return rest(worker)
    opening: tuple[Effect, ...] = () if worker.ingress_open else (OpenIngress(),)
    woken = worker.wakes + (worker.phase is Phase.ASLEEP)
    going = replace(_without_process(worker), ingress_open=True, wakes=woken)
    if not worker.identified:
        return replace(going, phase=Phase.IDENTITY, reason=reasons.ASKING_IDENTITY), opening
    generation = worker.generation + 1
    return replace(going, phase=Phase.SPAWN, generation=generation), (*opening, Spawn(generation))


def sleep(worker: Worker) -> Decision:
    """Become SLEEPING; updates are taken in as ever."""
    opening: tuple[Effect, ...] = () if worker.ingress_open else (OpenIngress(),)
    asleep = replace(_without_process(worker), phase=Phase.ASLEEP, reason=reasons.ASLEEP)
    return replace(asleep, ingress_open=True), opening


def rest(worker: Worker) -> Decision:
    """Become STOPPED."""
    reason = worker.unwanted_because if worker.wanted is Wanted.STOPPED else reasons.SHUTTING_DOWN
    return replace(_without_process(worker), phase=Phase.STOPPED, reason=reason), ()


def give_up(worker: Worker, reason: str) -> Decision:
    """Become FATAL, unless nothing is wanted of the bot anyway."""
    if not worker.is_up:
        return rest(worker)
    return replace(_without_process(worker), phase=Phase.FATAL, reason=reason), ()


def follow(worker: Worker, sequel: Sequel, now: float, limits: Limits, reason: str) -> Decision:
    """Apply what was decided to follow the process that is gone; ``reason`` says why it went."""
    if not worker.is_up:
        return rest(worker)
    ran_s = now - worker.started_at if worker.started_at is not None else 0.0
    match _settle(sequel, ran_s):
        case Sequel.STOP | Sequel.RESTART | Sequel.RECYCLE:
            return launch(replace(worker, rung=next_rung(worker.rung, ran_s)))
        case Sequel.GIVE_UP:
            return give_up(worker, reason)
        case Sequel.SLEEP:
            return sleep(replace(worker, rung=next_rung(worker.rung, ran_s)))
        case Sequel.DEFER:
            rung, wait_s, explained = decide_after_deferral(worker.rung, ran_s, reason, limits)
            return _cool_down(replace(worker, rung=rung), now + wait_s, explained)
        case Sequel.DEATH:
            verdict = decide_after_death(worker.deaths, worker.rung, ran_s, now, reason, limits)
            dead = replace(worker, deaths=verdict.deaths, rung=verdict.rung)
            if verdict.wait_s is None:
                return give_up(dead, verdict.reason)
            return _cool_down(dead, now + verdict.wait_s, verdict.reason) if verdict.wait_s else launch(dead)
        case _ as never:
            assert_never(never)


def _settle(sequel: Sequel, ran_s: float) -> Sequel:
    """Return what a sequel amounts to: recycled too soon after the start is as good as dead."""
    return Sequel.DEATH if sequel is Sequel.RECYCLE and ran_s < FORGIVEN_AFTER_S else sequel


def _cool_down(worker: Worker, until: float, reason: str) -> Decision:
    return replace(_without_process(worker), phase=Phase.COOLDOWN, deadline_at=until, reason=reason), ()


def _without_process(worker: Worker) -> Worker:
    """Return ``worker`` with nothing left of its process."""
    return replace(
        worker,
        reason=None,
        deadline_at=None,
        term_at=None,
        kill_at=None,
        sequel=None,
        commanded=False,
        pid=None,
        started_at=None,
        heartbeat_at=None,
        samples_over=0,
    )
