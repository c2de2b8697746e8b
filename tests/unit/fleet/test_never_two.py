"""Over random histories: never two processes for one bot, always a way out, a timer where one is needed."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisor.fleet.policy.effects import (
    CancelSpawn,
    CloseIngress,
    DumpStacks,
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
from supervisor.fleet.policy.lifecycle import step
from supervisor.fleet.policy.model import ALIVE, FORKING, TIMED, Limits, Phase, State, Wanted, Worker
from supervisor.fleet.policy.succession import inherit

LIMITS = Limits(budget=2, idle_timeout_s=60.0)


class World(RuleBasedStateMachine):
    """One bot, a zygote, a process, a poller and an operator, none of whom asks the policy for leave."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.worker = Worker()
        self.forking: int | None = None
        self.alive = False
        self.booted = False
        self.killed = False
        self.delivering = False
        self.ingress = False
        self.retired = self.stopping = False
        self.remembered = Wanted.RUNNING

    def tell(self, event: Event) -> None:
        self.worker, effects = step(self.worker, event, self.now, LIMITS)
        for effect in effects:
            self.apply(effect)

    def apply(self, effect: object) -> None:
        match effect:
            case Spawn(generation):
                assert not self.alive, "a second process beside a living one"
                assert self.forking is None, "a second fork beside one that is not answered"
                self.forking = generation
            case CancelSpawn(generation):
                assert self.forking == generation
            case SendBoot():
                assert self.alive
                assert not self.booted
                assert not self.killed
                self.booted = True
            case OpenDelivery():
                assert self.booted
                assert not self.delivering
                self.delivering = True
            case HoldDelivery():
                self.delivering = False
            case SendDrain() | Terminate() | DumpStacks():
                assert self.alive
                assert not self.delivering
            case KillGroup():
                assert self.alive
                assert not self.delivering
                self.killed = True
            case OpenIngress():
                assert not self.ingress
                assert self.worker.is_up
                self.ingress = True
            case CloseIngress():
                self.ingress = False
            case Remember(wanted):
                self.remembered = wanted

    @initialize(wanted=st.sampled_from(Wanted), slept=st.booleans())
    def begin(self, wanted: Wanted, slept: bool) -> None:
        self.worker = Worker(wanted=wanted)
        self.remembered = wanted
        self.tell(MasterStarted(slept))

    @rule(event=st.sampled_from([StartCommanded(), StopCommanded(), RestartCommanded()]))
    def command(self, event: Event) -> None:
        self.tell(event)

    @rule(event=st.sampled_from([Enabled(), Disabled("gone"), EntryChanged(), LimitsChanged()]))
    def reconfigure(self, event: Event) -> None:
        self.tell(event)
        if isinstance(event, Enabled | Disabled):  # the shell keeps no override that says the same
            self.remembered = self.worker.wanted

    @rule(
        event=st.sampled_from(
            [
                IdentityKnown(),
                IdentityKnown(),
                IdentityUnreachable("x"),
                TokenRejected("401"),
                UpdatesWaited(),
                CapacityFreed(),
            ]
        )
    )
    def hear(self, event: Event) -> None:
        self.tell(event)

    @rule(timeout_s=st.sampled_from([0.0, 90.0]))
    def shut_down(self, timeout_s: float) -> None:
        self.stopping = True
        self.tell(ShutdownCommanded(timeout_s))

    @rule(event=st.sampled_from([Retired(), CodeChanged()]))
    def code_changes(self, event: Event) -> None:
        self.retired |= isinstance(event, Retired)
        self.tell(event)

    @precondition(lambda self: not (self.stopping or (self.retired and self.alive)))
    @rule(wanted=st.sampled_from(Wanted))
    def another_master_takes_over(self, wanted: Wanted) -> None:
        """It opens the intake of a process as that was; a fork that is not answered is nobody's."""
        left, self.worker = self.worker, inherit(Worker(wanted=wanted), self.worker)
        self.remembered = wanted
        self.forking, self.retired = None, False
        self.ingress = self.alive and left.ingress_open
        if not self.alive:
            self.tell(MasterStarted())
        elif wanted is not left.wanted:
            self.tell(Enabled() if wanted is Wanted.RUNNING else Disabled("gone"))

    @precondition(lambda self: self.forking is not None)
    @rule(answer=st.sampled_from(["forked", "forked", "forked", "failed", "no room"]))
    def answer_fork(self, answer: str) -> None:
        self.forking = None
        if answer == "forked":
            self.alive, self.booted, self.killed = True, False, False
            self.tell(SpawnSucceeded(77))
        else:
            self.tell(SpawnFailed("no") if answer == "failed" else CapacityRefused("no"))

    @precondition(lambda self: self.alive and self.booted)
    @rule(
        event=st.sampled_from(
            [
                ReadyReceived(),
                ReadyReceived(),
                BootFailed(True, "no"),
                BootFailed(False, "no"),
                HeartbeatReceived(1),
                SleepAgreed(),
                SleepRefused("2 jobs are scheduled"),
                MemorySampled(LIMITS.memory_bytes + 1),
                LinkBroken("no"),
            ]
        )
    )
    def process_speaks(self, event: Event) -> None:
        self.tell(event)

    @precondition(lambda self: self.alive)
    @rule(
        event=st.sampled_from(
            [
                WorkerExited(code=0),
                WorkerExited(code=1),
                WorkerExited(code=75),
                WorkerExited(code=78),
                WorkerExited(signal="SIGSEGV", charged=True),
            ]
        )
    )
    def process_ends(self, event: Event) -> None:
        self.alive = self.booted = self.killed = self.delivering = False
        self.tell(event)

    @rule(late_s=st.sampled_from([0.0, 1.0, 700.0]))
    def time_passes(self, late_s: float) -> None:
        self.now += late_s
        if self.worker.deadline_at is not None:
            self.now = max(self.now, self.worker.deadline_at)
        self.tell(DeadlinePassed())

    @invariant()
    def the_worker_knows_what_there_is(self) -> None:
        assert (self.worker.phase in FORKING) == (self.forking is not None)
        assert (self.worker.phase in ALIVE) == self.alive
        assert self.delivering == (self.worker.state is State.RUNNING)
        assert self.ingress == self.worker.ingress_open
        assert self.remembered == self.worker.wanted

    @invariant()
    def a_timer_runs_exactly_where_one_is_needed(self) -> None:
        assert (self.worker.deadline_at is not None) == (self.worker.phase in TIMED)

    @invariant()
    def an_end_knows_what_follows(self) -> None:
        assert (self.worker.sequel is not None) == (self.worker.state is State.STOPPING)

    @invariant()
    def nothing_stays_up_that_is_not_wanted(self) -> None:
        if not self.worker.is_up:
            assert self.worker.state in (State.STOPPED, State.STOPPING)
            assert not self.ingress or self.retired
        else:
            assert self.ingress

    @invariant()
    def people_are_told_why(self) -> None:
        if self.worker.state not in (State.RUNNING, State.STARTING):
            assert self.worker.reason

    def teardown(self) -> None:
        """From anywhere, patience alone leads to rest or to a process that runs."""
        if self.worker.phase is Phase.CAPACITY:
            self.tell(CapacityFreed())
        for _ in range(40):
            if self.worker.state in (State.STOPPED, State.RUNNING, State.FATAL, State.WAITING):
                return
            if self.worker.state is State.SLEEPING:
                self.tell(UpdatesWaited())
            elif self.forking is not None:
                self.answer_fork("forked")
            elif self.worker.phase is Phase.IDENTITY:
                self.tell(IdentityKnown())
            elif self.killed:
                self.process_ends(WorkerExited(signal="SIGKILL"))
            elif self.worker.phase is Phase.BOOT:
                self.tell(ReadyReceived())
            else:
                assert self.worker.deadline_at is not None
                self.time_passes(0.0)
        raise AssertionError(f"no way out of {self.worker}")


World.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
