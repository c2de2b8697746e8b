"""The policy told as histories: what happened when, and what was done about it."""

from dataclasses import dataclass, field

import pytest

from supervisor.fleet.policy.effects import (
    CancelSpawn,
    CloseIngress,
    DumpStacks,
    Effect,
    HoldDelivery,
    KillGroup,
    OpenDelivery,
    OpenIngress,
    Remember,
    SendBoot,
    SendDrain,
    Spawn,
    Terminate,
)
from supervisor.fleet.policy.events import (
    BootFailed,
    CapacityFreed,
    CapacityRefused,
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
    ShutdownCommanded,
    SpawnFailed,
    SpawnSucceeded,
    StartCommanded,
    StopCommanded,
    TokenRejected,
    WorkerExited,
)
from supervisor.fleet.policy.lifecycle import step
from supervisor.fleet.policy.model import Limits, State, Wanted, Worker

MB = 1024 * 1024


@dataclass
class History:
    """A worker's life, one event at a time; ``at`` is the time of the newest event."""

    limits: Limits = field(default_factory=Limits)
    worker: Worker = field(default_factory=Worker)
    at: float = 1000.0

    def tell(self, *events: Event, after_s: float = 0.0) -> tuple[Effect, ...]:
        """Let ``events`` happen ``after_s`` seconds later; return the effects of the last one."""
        self.at += after_s
        effects: tuple[Effect, ...] = ()
        for event in events:
            self.worker, effects = step(self.worker, event, self.at, self.limits)
        return effects

    def expire(self) -> tuple[Effect, ...]:
        """Let the deadline pass, on time."""
        assert self.worker.deadline_at is not None
        self.at = max(self.at, self.worker.deadline_at)
        return self.tell(DeadlinePassed())

    def told(self) -> tuple[State, str | None]:
        """What status would say."""
        return self.worker.state, self.worker.reason

    def state(self) -> State:
        return self.worker.state


def history(*events: Event, worker: Worker | None = None, **limits) -> History:
    life = History(Limits(**limits), worker or Worker())
    life.tell(*events)
    return life


def running(**limits) -> History:
    return history(MasterStarted(), IdentityKnown(), SpawnSucceeded(77), ReadyReceived(), **limits)


def die(life: History, after_s: float = 1.0, **how) -> tuple[Effect, ...]:
    """End the process, and bring the next one up if the policy wants one."""
    effects = life.tell(WorkerExited(**(how or {"code": 1})), after_s=after_s)
    if life.worker.state is State.BACKOFF:
        life.expire()
    if life.worker.state is State.STARTING:
        life.tell(SpawnSucceeded(78), ReadyReceived())
    return effects


# --- up ---------------------------------------------------------------------------------------


def test_a_bot_asks_who_it_is_before_a_process_is_spent_on_it():
    life = history()
    assert life.tell(MasterStarted()) == (OpenIngress(),)
    assert life.told() == (State.STARTING, "asking Telegram who this is")
    assert life.worker.deadline_at is None, "an unreachable Telegram is no failure of the bot's start"
    assert life.tell(IdentityKnown()) == (Spawn(1),)
    assert life.tell(SpawnSucceeded(77)) == (SendBoot(),)
    assert life.tell(ReadyReceived()) == (OpenDelivery(),)
    assert life.told() == (State.RUNNING, None)
    assert life.worker.pid == 77


def test_an_unreachable_bot_api_is_said_and_spends_nothing():
    life = history(MasterStarted(), IdentityUnreachable("connection refused"))
    assert life.told() == (State.STARTING, "Bot API unreachable: connection refused")
    assert life.tell(IdentityKnown(), after_s=7200) == (Spawn(1),)
    assert life.worker.deaths == ()


def test_a_stopped_bot_stays_stopped_over_a_restart_of_the_master():
    stopped = Worker(wanted=Wanted.STOPPED, unwanted_because="stopped by command")
    life = history(MasterStarted(), worker=stopped)
    assert life.told() == (State.STOPPED, "stopped by command")
    assert not life.worker.ingress_open


@pytest.mark.parametrize("command", [StartCommanded(), RestartCommanded()])
def test_a_command_starts_a_disabled_bot(command):
    disabled = Worker(wanted=Wanted.STOPPED, unwanted_because="disabled")
    life = history(MasterStarted(), worker=disabled)
    assert life.told() == (State.STOPPED, "disabled")
    assert life.tell(command) == (Remember(Wanted.RUNNING), OpenIngress())
    assert life.state() is State.STARTING


def test_the_configuration_stops_and_starts_a_bot_and_leaves_nothing_to_remember():
    life = running()
    assert life.tell(Disabled("disabled")) == (CloseIngress(), HoldDelivery(), SendDrain())
    assert life.told() == (State.STOPPING, "disabled")
    life.tell(WorkerExited(code=0))
    assert life.told() == (State.STOPPED, "disabled")
    assert life.tell(Enabled()) == (OpenIngress(), Spawn(2))


def test_a_bot_enabled_while_it_stops_comes_back_as_soon_as_it_has_stopped():
    life = running()
    life.tell(Disabled("removed"))
    assert life.tell(Enabled()) == (OpenIngress(),)
    assert life.tell(WorkerExited(code=0)) == (Spawn(2),)


def test_a_changed_entry_renews_a_process_and_spends_no_budget():
    life = running(budget=1)
    die(life)
    assert life.tell(EntryChanged()) == (HoldDelivery(), SendDrain())
    assert life.tell(WorkerExited(code=0)) == (Spawn(3),)
    assert life.worker.deaths == ()


def test_a_changed_entry_starts_nothing_that_is_stopped():
    life = running()
    life.tell(StopCommanded(), WorkerExited(code=0))
    assert life.tell(EntryChanged()) == ()
    assert life.told() == (State.STOPPED, "stopped by command")


def test_a_changed_entry_gives_a_given_up_bot_another_chance():
    life = history(MasterStarted(), TokenRejected("401 Unauthorized"))
    assert life.state() is State.FATAL
    assert life.tell(EntryChanged()) == (CloseIngress(), OpenIngress())
    assert life.state() is State.STARTING


def test_a_new_token_is_asked_about_while_the_process_of_the_rejected_one_still_ends():
    life = running()
    life.tell(TokenRejected("401 Unauthorized"))
    assert life.state() is State.STOPPING
    assert life.tell(EntryChanged()) == (CloseIngress(), OpenIngress())
    life.tell(IdentityKnown())
    assert life.tell(WorkerExited(code=0)) == (Spawn(2),)


def test_changed_limits_move_the_deadline_of_what_runs():
    life = running()
    assert life.worker.deadline_at == 1090.0
    life.limits = Limits(worker_timeout_s=10.0)
    life.tell(LimitsChanged())
    assert life.worker.deadline_at == 1010.0
    life.tell(StopCommanded())
    before = life.worker.deadline_at
    life.tell(LimitsChanged())
    assert life.worker.deadline_at == before


def test_a_boot_that_never_polls_shows_its_stacks_and_is_fatal():
    life = history(MasterStarted(), IdentityKnown(), SpawnSucceeded(77))
    assert life.expire() == (DumpStacks(),)
    assert life.at == 1060.0
    assert life.expire() == (KillGroup(),)
    assert life.at == 1065.0
    life.tell(WorkerExited(signal="SIGKILL"))
    assert life.told() == (State.FATAL, "no Application polling within 60 s (limits.start_timeout)")
    assert life.worker.ingress_open, "its updates are kept for the day it is mended"


@pytest.mark.parametrize("code", [0, 1, 78])
def test_permanent_last_words_are_the_reason_whatever_the_exit_code(code):
    life = history(MasterStarted(), IdentityKnown(), SpawnSucceeded(77))
    life.tell(BootFailed(True, "bots/shop.py: No module named 'shop'"), WorkerExited(code=code))
    assert life.told() == (State.FATAL, "bots/shop.py: No module named 'shop'")


def test_a_worker_that_spoke_its_last_words_and_stays_is_killed():
    life = history(MasterStarted(), IdentityKnown(), SpawnSucceeded(77), BootFailed(True, "no"))
    assert life.expire() == (KillGroup(),)
    assert life.at == 1005.0


def test_no_network_while_booting_waits_and_spends_no_budget():
    life = history(MasterStarted(), IdentityKnown(), SpawnSucceeded(77), budget=1)
    waits = []
    for _ in range(6):
        life.tell(BootFailed(False, "connection refused"), WorkerExited(code=75))
        assert life.state() is State.BACKOFF
        begun = life.at
        assert life.expire() == (Spawn(life.worker.generation),)
        waits.append(life.at - begun)
        life.tell(SpawnSucceeded(77))
    assert waits == [1, 5, 15, 45, 45, 45]
    assert life.worker.deaths == ()


def test_a_failed_fork_waits_and_spends_no_budget():
    life = history(MasterStarted(), IdentityKnown(), SpawnFailed("out of pids"))
    assert life.told() == (
        State.BACKOFF, "could not be started: out of pids; starts again after 1 s",
    )  # fmt: skip
    assert life.worker.deaths == ()
    assert life.expire() == (Spawn(2),)


# --- room -------------------------------------------------------------------------------------


def test_without_room_a_bot_waits_and_says_which_key_to_change():
    life = history(MasterStarted(), IdentityKnown())
    assert life.tell(CapacityRefused("1 bots run, which is limits.max_workers")) == ()
    assert life.told() == (State.WAITING, "1 bots run, which is limits.max_workers")
    assert life.worker.ingress_open
    assert life.tell(CapacityFreed()) == (Spawn(1),), "a refused generation never was"


def test_a_waiting_bot_can_be_stopped():
    life = history(MasterStarted(), IdentityKnown(), CapacityRefused("full"))
    assert life.tell(StopCommanded()) == (Remember(Wanted.STOPPED), CloseIngress())
    assert life.state() is State.STOPPED


# --- deaths -----------------------------------------------------------------------------------


def test_waits_grow_and_the_death_after_the_budget_is_fatal_with_its_cause():
    life = running()
    waits = []
    for _ in range(5):
        died_at = life.at + 1.0
        die(life)
        waits.append(life.at - died_at)
    assert waits == [0, 1, 5, 15, 45]
    die(life)
    assert life.told() == (State.FATAL, "exit code 1; 6 deaths within 3600 s, restart.budget is 5")


def test_cooldown_caps_the_wait():
    life = running(cooldown_s=3.0, budget=99)
    waits = []
    for _ in range(4):
        died_at = life.at + 1.0
        die(life)
        waits.append(life.at - died_at)
    assert waits == [0, 1, 3, 3]


def test_ten_minutes_of_running_put_the_wait_back_to_nothing():
    life = running()
    die(life)
    die(life)
    assert life.worker.rung == 2
    die(life, after_s=600.0)
    assert life.state() is State.RUNNING
    assert life.worker.rung == 1


def test_deaths_leave_the_window():
    life = running(budget=2, window_s=3600.0)
    for _ in range(10):
        die(life, after_s=1801.0)
        assert life.state() is State.RUNNING


def test_deaths_charged_to_an_update_neither_wait_nor_count():
    life = running(budget=1)
    for _ in range(10):
        assert die(life, signal="SIGSEGV", charged=True) == (Spawn(life.worker.generation),)
    assert life.worker.deaths == ()
    assert life.worker.starts == 11


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ({"code": 1}, "exit code 1"),
        ({"code": 0}, "ended by itself (exit code 0)"),
        ({"signal": "SIGSEGV"}, "killed by SIGSEGV"),
    ],
)
def test_any_end_of_a_wanted_bot_is_a_death_and_says_how(how, cause):
    life = running(budget=1)
    die(life, **how)
    assert len(life.worker.deaths) == 1
    die(life, **how)
    assert life.told() == (State.FATAL, f"{cause}; 2 deaths within 3600 s, restart.budget is 1")


def test_exit_code_75_of_a_running_bot_waits_and_78_gives_up():
    life = running()
    life.tell(WorkerExited(code=75))
    assert life.told() == (State.BACKOFF, "exit code 75: try again later; starts again after 1 s")
    life = running()
    life.tell(WorkerExited(code=78))
    assert life.state() is State.FATAL


def test_a_fatal_bot_starts_again_by_command_with_a_new_budget():
    life = running(budget=1)
    die(life)
    die(life)
    assert life.state() is State.FATAL
    assert life.tell(RestartCommanded()) == (Spawn(3),)
    life.tell(SpawnSucceeded(79), ReadyReceived())
    die(life)
    assert life.state() is State.RUNNING


# --- hung -------------------------------------------------------------------------------------


def test_a_worker_without_heartbeat_is_dumped_killed_and_counted():
    life = running()
    life.tell(HeartbeatReceived(), after_s=30.0)
    assert life.expire() == (), "the heartbeat moved the deadline"
    assert life.expire() == (HoldDelivery(), DumpStacks())
    assert life.at == 1120.0
    assert life.told() == (State.STOPPING, "hung: no heartbeat for 90 s (limits.worker_timeout)")
    assert not life.worker.commanded, "an update may be to blame"
    assert life.expire() == (KillGroup(),)
    assert life.at == 1125.0
    assert life.expire() == (KillGroup(),), "a process that does not go is killed again"
    assert life.tell(WorkerExited(signal="SIGKILL")) == (Spawn(2),)
    assert len(life.worker.deaths) == 1


def test_a_master_that_stood_still_judges_nobody_by_its_clock():
    life = running()
    assert life.tell(DeadlinePassed(), after_s=90 + 6) == ()
    assert life.state() is State.RUNNING
    assert life.expire() == (HoldDelivery(), DumpStacks())
    booting = history(MasterStarted(), IdentityKnown(), SpawnSucceeded(77))
    assert booting.tell(DeadlinePassed(), after_s=60 + 6) == ()
    assert booting.expire() == (DumpStacks(),)


def test_a_hung_worker_can_be_restarted_and_need_not_wait_for_the_whole_stop_timeout():
    life = running(worker_timeout_s=10.0)
    assert life.tell(RestartCommanded()) == (HoldDelivery(), SendDrain())
    assert life.expire() == (DumpStacks(),)
    assert life.at == 1010.0
    assert life.expire() == (KillGroup(),)
    assert life.tell(WorkerExited(signal="SIGKILL")) == (Spawn(2),)
    assert life.worker.deaths == ()


def test_a_worker_that_closed_its_pipe_is_killed_and_counted():
    life = running()
    assert life.tell(LinkBroken("closed its pipe to the supervisor")) == (HoldDelivery(), KillGroup())
    assert life.tell(WorkerExited(signal="SIGKILL")) == (Spawn(2),)
    assert len(life.worker.deaths) == 1


# --- memory -----------------------------------------------------------------------------------


def test_three_samples_in_a_row_over_the_cap_recycle():
    life = running(memory_bytes=100 * MB)
    for used in (101, 150, 99, 101, 102):
        assert life.tell(MemorySampled(used * MB), after_s=60.0) == ()
    assert life.tell(HeartbeatReceived(uss_bytes=130 * MB), after_s=301.0) == (HoldDelivery(), SendDrain())
    assert life.told() == (
        State.STOPPING, "uses 130 MB, more than 100 MB (limits.memory_per_worker)",
    )  # fmt: skip
    assert life.worker.commanded
    assert life.tell(WorkerExited(code=0)) == (Spawn(2),)
    assert life.worker.deaths == ()


def test_a_recycle_soon_after_the_start_counts_as_a_death():
    life = running(memory_bytes=100 * MB)
    life.tell(*[MemorySampled(101 * MB)] * 3, after_s=599.0)
    life.tell(WorkerExited(code=0))
    assert len(life.worker.deaths) == 1


# --- down -------------------------------------------------------------------------------------


def test_a_stop_drains_then_terminates_then_kills():
    life = running()
    assert life.tell(StopCommanded()) == (
        Remember(Wanted.STOPPED), CloseIngress(), HoldDelivery(), SendDrain(),
    )  # fmt: skip
    life.tell(HeartbeatReceived(), after_s=30.0)
    assert life.expire() == (Terminate(),)
    assert life.at == 1072.0
    assert life.expire() == (KillGroup(),)
    assert life.at == 1090.0
    life.tell(WorkerExited(signal="SIGKILL"))
    assert life.told() == (State.STOPPED, "stopped by command")


def test_a_commanded_restart_never_waits_and_never_counts():
    life = running()
    for generation in range(2, 12):
        assert life.tell(RestartCommanded()) == (HoldDelivery(), SendDrain())
        assert life.tell(WorkerExited(code=0)) == (Spawn(generation),)
        life.tell(SpawnSucceeded(80), ReadyReceived())
    assert life.worker.deaths == ()


def test_a_start_during_a_stop_brings_the_bot_back():
    life = running()
    life.tell(StopCommanded())
    assert life.tell(StartCommanded()) == (Remember(Wanted.RUNNING), OpenIngress())
    assert life.tell(WorkerExited(code=0)) == (Spawn(2),)


def test_a_stop_during_a_restart_stops():
    life = running()
    life.tell(RestartCommanded())
    assert life.tell(StopCommanded()) == (Remember(Wanted.STOPPED), CloseIngress())
    life.tell(WorkerExited(code=0))
    assert life.state() is State.STOPPED


def test_a_boot_that_is_stopped_has_nothing_to_finish():
    life = history(MasterStarted(), IdentityKnown(), SpawnSucceeded(77))
    assert life.tell(StopCommanded())[-2:] == (SendDrain(), Terminate())
    assert life.expire() == (KillGroup(),)
    assert life.at == 1010.0


def test_a_fork_that_is_no_longer_wanted_ends_before_it_is_a_bot():
    life = history(MasterStarted(), IdentityKnown())
    assert life.tell(StopCommanded())[-1] == CancelSpawn(1)
    assert life.tell(SpawnSucceeded(77)) == (KillGroup(),)
    life.tell(WorkerExited(signal="SIGKILL"))
    assert life.state() is State.STOPPED


def test_a_withdrawn_fork_needs_no_kill():
    life = history(MasterStarted(), IdentityKnown(), StopCommanded(), SpawnFailed("withdrawn"))
    assert life.state() is State.STOPPED


def test_a_stop_ends_the_wait_after_a_death():
    life = running()
    die(life)
    life.tell(WorkerExited(code=1))
    assert life.state() is State.BACKOFF
    life.tell(StopCommanded())
    assert life.state() is State.STOPPED
    assert life.worker.deadline_at is None


def test_the_master_ends_the_fleet_and_wants_it_back_later():
    life = running()
    assert life.tell(ShutdownCommanded(10.0)) == (CloseIngress(), HoldDelivery(), SendDrain())
    assert life.expire() == (Terminate(),)
    assert life.at == 1008.0
    assert life.tell(ShutdownCommanded(0.0)) == (KillGroup(),), "the second signal means now"
    life.tell(WorkerExited(signal="SIGKILL"))
    assert life.told() == (State.STOPPED, "the supervisor is stopping")
    assert life.worker.wanted is Wanted.RUNNING
    assert life.tell(StartCommanded()) == ()


# --- the token --------------------------------------------------------------------------------


def test_a_rejected_token_is_fatal_and_a_command_asks_again():
    life = history(MasterStarted(), TokenRejected("401 Unauthorized"))
    assert life.told() == (State.FATAL, "Telegram rejected the token: 401 Unauthorized")
    assert life.tell(RestartCommanded()) == (CloseIngress(), OpenIngress())
    assert life.state() is State.STARTING
    assert life.tell(IdentityKnown()) == (Spawn(1),)


def test_a_token_revoked_under_a_running_bot_drains_it():
    life = running()
    assert life.tell(TokenRejected("401 Unauthorized")) == (HoldDelivery(), SendDrain())
    life.tell(WorkerExited(code=0))
    assert life.state() is State.FATAL


def test_a_rejected_token_does_not_undo_a_stop():
    life = running()
    life.tell(StopCommanded(), TokenRejected("401 Unauthorized"), WorkerExited(code=0))
    assert life.state() is State.STOPPED
