"""Sleep told as histories: how a bot falls asleep, what wakes it, what it costs."""

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.effects import (
    CloseIngress,
    HoldDelivery,
    KillGroup,
    OpenIngress,
    Remember,
    SendDrain,
    Spawn,
    Terminate,
)
from supervisor.fleet.policy.events import (
    DeadlinePassed,
    Enabled,
    EntryChanged,
    HeartbeatReceived,
    IdentityKnown,
    LimitsChanged,
    MasterStarted,
    ReadyReceived,
    RestartCommanded,
    ShutdownCommanded,
    SleepAgreed,
    SleepRefused,
    SpawnSucceeded,
    StartCommanded,
    StopCommanded,
    TokenRejected,
    UpdatesWaited,
    WorkerExited,
)
from supervisor.fleet.policy.model import Limits, Sequel, State, Wanted, Worker
from tests.unit.fleet.test_lifecycle import History, history, running

IDLE_S = 1800.0


def asleep(**limits) -> History:
    life = running(idle_timeout_s=IDLE_S, **limits)
    life.tell(SleepAgreed(), WorkerExited(code=0), after_s=IDLE_S)
    return life


def test_a_worker_that_agrees_is_handed_nothing_more_and_drains_by_itself():
    life = running(idle_timeout_s=IDLE_S)
    assert life.tell(SleepAgreed()) == (HoldDelivery(),)
    assert life.told() == (State.STOPPING, reasons.FALLING_ASLEEP)
    assert life.tell(WorkerExited(code=0)) == ()
    assert life.told() == (State.SLEEPING, reasons.ASLEEP)
    assert (life.worker.ingress_open, life.worker.deaths, life.worker.deadline_at) == (True, (), None)


def test_the_next_update_wakes_it_without_a_wait_and_it_spends_no_budget():
    life = asleep(budget=0)
    for number in range(1, 4):
        assert life.tell(UpdatesWaited()) == (Spawn(number + 1),)
        life.tell(SpawnSucceeded(78), ReadyReceived())
        assert life.state() is State.RUNNING
        assert (life.worker.wakes, life.worker.starts) == (number, number + 1)
        life.tell(SleepAgreed(), WorkerExited(code=0))
        assert life.state() is State.SLEEPING


def test_it_does_not_matter_how_the_process_ends_that_agreed():
    life = running(idle_timeout_s=IDLE_S, budget=0)
    life.tell(SleepAgreed(), WorkerExited(code=1))
    assert life.state() is State.SLEEPING


def test_a_script_that_does_not_end_is_ended():
    life = running(idle_timeout_s=IDLE_S, stop_timeout_s=90.0)
    life.tell(SleepAgreed())
    life.tell(HeartbeatReceived(), after_s=71.0)
    assert life.expire() == (Terminate(),)
    assert life.expire() == (KillGroup(),)
    life.tell(WorkerExited(signal="SIGKILL"))
    assert life.state() is State.SLEEPING


def test_a_worker_that_stays_says_why_until_it_may_sleep_no_more():
    life = running(idle_timeout_s=IDLE_S)
    assert life.tell(SleepRefused("2 jobs are scheduled")) == ()
    assert life.told() == (State.RUNNING, "stays awake: 2 jobs are scheduled")
    life.limits = Limits()
    life.tell(LimitsChanged())
    assert life.told() == (State.RUNNING, None)


def test_an_answer_that_comes_too_late_changes_nothing():
    life = running(idle_timeout_s=IDLE_S)
    life.tell(RestartCommanded())
    assert life.tell(SleepAgreed()) == life.tell(SleepRefused("2 jobs are scheduled")) == ()
    assert life.worker.sequel is Sequel.RESTART


def test_what_is_commanded_while_it_falls_asleep_counts():
    for command, state in (
        (StartCommanded(), State.STARTING),
        (RestartCommanded(), State.STARTING),
        (EntryChanged(), State.STARTING),
        (StopCommanded(), State.STOPPED),
        (ShutdownCommanded(90.0), State.STOPPED),
        (TokenRejected("401"), State.FATAL),
    ):
        life = running(idle_timeout_s=IDLE_S)
        life.tell(SleepAgreed(), command)
        assert not life.tell(WorkerExited(code=0)) or state is State.STARTING
        assert life.state() is state, command


def test_commands_and_the_configuration_reach_it_in_its_sleep():
    for command in (StartCommanded(), RestartCommanded(), Enabled()):
        assert asleep().tell(command) == (Spawn(2),)
    assert asleep().tell(EntryChanged()) == ()
    assert asleep().tell(LimitsChanged()) == ()
    assert asleep().tell(StopCommanded()) == (Remember(Wanted.STOPPED), CloseIngress())
    never = asleep()
    never.limits = Limits()
    assert never.tell(LimitsChanged()) == (Spawn(2),)


def test_updates_wake_nobody_who_does_not_sleep():
    life = running(idle_timeout_s=IDLE_S)
    assert life.tell(UpdatesWaited()) == ()
    life.tell(StopCommanded(), WorkerExited(code=0))
    assert life.tell(UpdatesWaited()) == ()
    assert life.state() is State.STOPPED


def test_the_next_master_lets_it_sleep_and_takes_its_updates_in():
    life = history(idle_timeout_s=IDLE_S)
    assert life.tell(MasterStarted(slept=True)) == (OpenIngress(),)
    assert life.told() == (State.SLEEPING, reasons.ASLEEP)
    assert life.tell(IdentityKnown()) == ()
    assert life.tell(UpdatesWaited()) == (Spawn(1),)


def test_an_update_before_its_identity_is_known_waits_for_that():
    life = history(idle_timeout_s=IDLE_S)
    life.tell(MasterStarted(slept=True))
    assert life.tell(UpdatesWaited()) == ()
    assert life.told() == (State.STARTING, reasons.ASKING_IDENTITY)
    assert life.tell(IdentityKnown()) == (Spawn(1),)


def test_one_that_is_not_to_sleep_any_more_starts_with_the_master():
    life = history(IdentityKnown())
    assert life.tell(MasterStarted(slept=True)) == (OpenIngress(), Spawn(1))
    stopped = history(worker=Worker(wanted=Wanted.STOPPED), idle_timeout_s=IDLE_S)
    assert stopped.tell(MasterStarted(slept=True)) == ()
    assert stopped.state() is State.STOPPED


def test_a_hung_worker_that_does_not_answer_is_a_death():
    life = running(idle_timeout_s=IDLE_S)
    life.expire()
    life.tell(WorkerExited(signal="SIGABRT"))
    assert life.worker.deaths
    assert life.tell(DeadlinePassed()) == ()


def test_a_drain_of_our_own_follows_no_consent():
    life = running(idle_timeout_s=IDLE_S)
    assert SendDrain() not in life.tell(SleepAgreed())
