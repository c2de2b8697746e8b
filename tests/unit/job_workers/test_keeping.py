"""What becomes of a job worker: histories as data, and what holds over random ones."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.exit_codes import ExitCode
from jobs.worker import DRAIN_S as HANDED_BACK_S
from supervisor.fleet.policy.model import Limits, State
from supervisor.job_workers.policy import keeping
from supervisor.job_workers.policy.keeping import DRAIN_S, DUMP_S, HURRY_S, SAMPLES, START_S, Act, Worker

TERMS = keeping.Terms(timeout_s=30.0, memory_bytes=100, restarts=Limits(budget=2, cooldown_s=5.0))
NOW = 1000.0
STARTING = keeping.begun(Worker(), NOW)
RUNNING = keeping.heard(STARTING, NOW)


def look_until(worker: Worker, now: float, end: float) -> list[tuple[float, Act]]:
    """Return what happens by itself to a worker that never ends, second by second."""
    acts = []
    while now <= end:
        worker, act = keeping.looked_at(worker, now, TERMS)
        if act is not None:
            acts.append((now, act))
        now += 1.0
    return acts


def test_a_stop_hurries_and_kills_within_the_time_it_has():
    for timeout_s in (10.0, 20.0, DRAIN_S):
        stopping, act = keeping.stopped(RUNNING, NOW, "stop", timeout_s)
        assert act is Act.DRAIN
        acts = look_until(stopping, NOW, NOW + timeout_s)
        assert acts == [(NOW + timeout_s - HURRY_S, Act.HURRY), (NOW + timeout_s, Act.KILL)]


def test_a_long_stop_waits_no_longer_than_a_worker_takes():
    stopping, _ = keeping.stopped(RUNNING, NOW, "stop", 3600.0)
    assert look_until(stopping, NOW, NOW + DRAIN_S)[-1] == (NOW + DRAIN_S, Act.KILL)


def test_a_stop_in_a_drain_gives_no_more_time_and_hurries_nobody_by_itself():
    draining, _ = keeping.renewed(RUNNING, NOW)
    later, act = keeping.stopped(draining, NOW + 20.0, "stop", 90.0)
    assert act is None
    assert (later.kill_at, later.successor) == (draining.kill_at, False)
    now, act = keeping.stopped(later, NOW + 21.0, "stop", 0.0)
    assert act is Act.KILL
    assert keeping.ended(now, None, "SIGKILL", NOW + 22.0, TERMS)[0].state is State.STOPPED


def test_a_hung_worker_is_dumped_then_killed_and_that_counts():
    assert keeping.looked_at(RUNNING, NOW + 29.0, TERMS) == (RUNNING, None)
    hung, act = keeping.looked_at(RUNNING, NOW + 30.0, TERMS)
    assert act is Act.DUMP
    assert look_until(hung, NOW + 30.0, NOW + 30.0 + DUMP_S) == [(NOW + 30.0 + DUMP_S, Act.KILL)]
    dead, act = keeping.ended(hung, None, "SIGABRT", NOW + 31.0, TERMS)
    assert act is None
    assert (dead.state, len(dead.deaths)) == (State.BACKOFF, 1)
    assert "no heartbeat for 30 s" in (dead.reason or "")


def test_one_that_never_takes_jobs_is_ended():
    assert keeping.looked_at(STARTING, NOW + START_S, TERMS)[1] is Act.DUMP


@pytest.mark.parametrize(("age_s", "deaths", "state"), [(60.0, 1, State.BACKOFF), (600.0, 0, State.BACKOFF)])
def test_too_much_memory_drains_and_counts_when_early(age_s: float, deaths: int, state: State):
    worker, act = RUNNING, None
    for number in range(SAMPLES):
        assert act is None
        worker, act = keeping.measured(worker, 101, NOW + age_s + number, TERMS)
    assert act is Act.DRAIN
    ended, act = keeping.ended(worker, 0, None, NOW + age_s + 10, TERMS)
    assert (ended.state, len(ended.deaths)) == (state, deaths)
    assert (act is Act.SPAWN) == (deaths == 0)


def test_a_sample_below_the_cap_forgives():
    worker, _ = keeping.measured(RUNNING, 101, NOW, TERMS)
    assert keeping.measured(worker, 100, NOW, TERMS)[0].over == 0


def test_a_wrong_configuration_is_fatal_with_its_reason():
    refused = keeping.refused(STARTING, "shop.jobs cannot be imported")
    fatal, act = keeping.ended(refused, ExitCode.CONFIG, None, NOW, TERMS)
    assert (fatal.state, fatal.reason, act) == (State.FATAL, "shop.jobs cannot be imported", None)
    assert look_until(fatal, NOW, NOW + 200.0) == []


class _History:
    """A place, a process in it or none, and what must hold."""

    def __init__(self) -> None:
        self.now, self.worker, self.alive, self.stopped = NOW, Worker(), False, False
        self.apply(self.worker, Act.SPAWN)

    def apply(self, worker: Worker, act: Act | None) -> None:
        self.worker = worker
        if act is Act.SPAWN:
            assert not self.alive, "two processes in one place"
            assert not self.stopped, "a start after the stop"
            self.alive = True
            self.worker = keeping.begun(worker, self.now)
        elif act is not None:
            assert self.alive, f"{act} to nobody"
        assert self.alive == (self.worker.state in {State.STARTING, State.RUNNING, State.STOPPING})

    def do(self, deed: str, seconds: float) -> None:
        self.now += seconds
        match deed:
            case "look":
                self.apply(*keeping.looked_at(self.worker, self.now, TERMS))
            case "beat" if self.alive:
                self.apply(keeping.heard(self.worker, self.now), None)
            case "refuse" if self.alive:
                self.apply(keeping.refused(self.worker, "why"), None)
            case "fat" if self.alive:
                self.apply(*keeping.measured(self.worker, 101, self.now, TERMS))
            case "renew":
                self.apply(*keeping.renewed(self.worker, self.now))
            case "die" | "config" if self.alive:
                was, self.alive = self.worker, False
                code = ExitCode.CONFIG if deed == "config" else 1
                after, act = keeping.ended(was, code, None, self.now, TERMS)
                if after.state is State.FATAL:
                    assert code == ExitCode.CONFIG or len(after.deaths) > TERMS.restarts.budget
                self.apply(after, act)
            case "stop":
                self.stopped = True
                self.apply(*keeping.stopped(self.worker, self.now, "stop", seconds))


_DEEDS = st.sampled_from(["look", "beat", "refuse", "fat", "renew", "die", "config", "stop"])


@given(st.lists(st.tuples(_DEEDS, st.floats(0.0, 60.0)), max_size=40), st.floats(0.0, 120.0))
def test_never_two_processes_and_a_stop_always_ends(deeds: list[tuple[str, float]], timeout_s: float):
    history = _History()
    for deed, seconds in deeds:
        history.do(deed, seconds)
    history.stopped = True
    history.apply(*keeping.stopped(history.worker, history.now, "stop", timeout_s))
    if not history.alive:
        assert history.worker.state is State.STOPPED
        return
    assert history.worker.kill_at is not None
    assert history.worker.kill_at <= history.now + max(min(timeout_s, DRAIN_S), DUMP_S)
    acts = look_until(history.worker, history.now, max(history.now, history.worker.kill_at) + 2.0)
    assert timeout_s <= 0 or Act.KILL in [act for _, act in acts]
    assert (
        keeping.ended(replace(history.worker), None, "SIGKILL", history.now, TERMS)[0].state is State.STOPPED
    )


def test_a_worker_that_uses_too_much_memory_is_killed_before_it_hands_its_jobs_back():
    """Handed back, the job that uses the memory would have spent no attempt and go round all workers."""
    worker, asked = RUNNING, []
    for number in range(SAMPLES):
        worker, act = keeping.measured(worker, 101, NOW + number, TERMS)
        asked.append(act)
    assert asked[-1] is Act.DRAIN
    acts = look_until(worker, NOW + SAMPLES, NOW + HANDED_BACK_S)
    assert {act for _, act in acts} == {Act.KILL}
