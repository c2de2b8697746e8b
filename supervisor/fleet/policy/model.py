"""What the fleet knows about one bot's worker, and the limits it is judged by."""

from dataclasses import dataclass
from enum import StrEnum

from supervisor.fleet.policy import reasons


class State(StrEnum):
    """What a worker *is*, in the words that users of supervisord know."""

    #: No process, and none is wanted.
    STOPPED = "STOPPED"
    #: On its way: asking Telegram for its identity, being forked, or booting.
    STARTING = "STARTING"
    #: Its Application polls, so updates are handed to it.
    RUNNING = "RUNNING"
    #: Its process is being ended; what follows was decided when that began.
    STOPPING = "STOPPING"
    #: No process; the next start waits for a moment after a death.
    BACKOFF = "BACKOFF"
    #: No process, and no further attempt before an operator says ``start`` or ``restart``.
    FATAL = "FATAL"
    #: No process; the machine or a limit has no room for one more.
    WAITING = "WAITING"
    #: No process, by its own wish: the next update wakes it.
    SLEEPING = "SLEEPING"


class Wanted(StrEnum):
    """What a bot is to be: as configured, unless an operator said otherwise, which survives restarts."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Phase(StrEnum):
    """What a worker waits for; each belongs to one state, and gives its one deadline a meaning."""

    #: STOPPED: for a command.
    STOPPED = "stopped"
    #: STARTING: for the answer to getMe. The poller asks without end, so there is no deadline.
    IDENTITY = "identity"
    #: STARTING: for the zygote to fork. The client answers for the zygote, so there is no deadline.
    SPAWN = "spawn"
    #: STARTING: for an Application that polls. Deadline: hung while booting.
    BOOT = "boot"
    #: RUNNING: for nothing. Deadline: the next heartbeat is overdue.
    SERVE = "serve"
    #: STOPPING: for a fork to be answered, whose process will be killed.
    ABORT = "abort"
    #: STOPPING: for begun updates to finish. Deadline: SIGTERM, or the next heartbeat is overdue.
    DRAIN = "drain"
    #: STOPPING: for a process that was told to end, or said it will. Deadline: SIGKILL.
    TERM = "term"
    #: STOPPING: for a hung process to write its stacks down. Deadline: SIGKILL.
    DUMP = "dump"
    #: STOPPING: for a killed process to be gone. Deadline: kill once more.
    KILL = "kill"
    #: BACKOFF: for the wait after a death to pass. Deadline: start.
    COOLDOWN = "cooldown"
    #: WAITING: for room.
    CAPACITY = "capacity"
    #: FATAL: for a command.
    FATAL = "fatal"
    #: SLEEPING: for an update.
    ASLEEP = "asleep"


STATE_OF_PHASE = {
    Phase.STOPPED: State.STOPPED,
    Phase.IDENTITY: State.STARTING,
    Phase.SPAWN: State.STARTING,
    Phase.BOOT: State.STARTING,
    Phase.SERVE: State.RUNNING,
    Phase.ABORT: State.STOPPING,
    Phase.DRAIN: State.STOPPING,
    Phase.TERM: State.STOPPING,
    Phase.DUMP: State.STOPPING,
    Phase.KILL: State.STOPPING,
    Phase.COOLDOWN: State.BACKOFF,
    Phase.CAPACITY: State.WAITING,
    Phase.FATAL: State.FATAL,
    Phase.ASLEEP: State.SLEEPING,
}

#: Phases in which a process of the current generation exists.
ALIVE = frozenset({Phase.BOOT, Phase.SERVE, Phase.DRAIN, Phase.TERM, Phase.DUMP, Phase.KILL})

#: Phases in which the zygote owes an answer.
FORKING = frozenset({Phase.SPAWN, Phase.ABORT})

#: Phases that end by their deadline if nothing else happens.
TIMED = ALIVE | {Phase.COOLDOWN}


class Sequel(StrEnum):
    """What follows once a process that is being ended is gone."""

    #: Rest: STOPPED.
    STOP = "stop"
    #: Start again at once; counts as nothing.
    RESTART = "restart"
    #: Start again at once, or a death if it came too soon after the start.
    RECYCLE = "recycle"
    #: A death: spends the budget, waits as the ladder says.
    DEATH = "death"
    #: Wait as the ladder says; spends no budget.
    DEFER = "defer"
    #: FATAL.
    GIVE_UP = "give up"
    #: SLEEPING.
    SLEEP = "sleep"


@dataclass(frozen=True, slots=True)
class Limits:
    """The knobs one bot is judged by, its own overrides applied. Durations in seconds, memory in bytes."""

    start_timeout_s: float = 60.0
    worker_timeout_s: float = 90.0
    stop_timeout_s: float = 90.0
    cooldown_s: float = 45.0
    budget: int = 5
    window_s: float = 3600.0
    memory_bytes: int = 150_000_000
    #: Without an update for this long the bot is asked whether it may sleep; None: never.
    idle_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """One bot's worker: what is, what is wanted, what was. All ``_at`` are monotonic seconds."""

    wanted: Wanted = Wanted.RUNNING
    #: Why nothing is wanted of it, as a sentence; counts while ``wanted`` is STOPPED.
    unwanted_because: str = reasons.STOPPED_BY_COMMAND
    #: The master is on its way out: nothing starts any more, whatever is wanted.
    shutting_down: bool = False
    phase: Phase = Phase.STOPPED
    #: Why it is as it is, as a sentence for people; None: nothing to explain.
    reason: str | None = None
    #: When ``phase`` ends by itself; set exactly in the TIMED phases.
    deadline_at: float | None = None
    #: DRAIN: when SIGTERM follows.
    term_at: float | None = None
    #: STOPPING: when the group is killed, however far the drain got.
    kill_at: float | None = None
    #: STOPPING: what follows.
    sequel: Sequel | None = None
    #: STOPPING: the end was our wish, so no update is to blame for it.
    commanded: bool = False
    ingress_open: bool = False
    identified: bool = False
    #: Number of the newest process asked for.
    generation: int = 0
    #: Processes that were really started; of a bot that an earlier master let fall asleep, that one too.
    starts: int = 0
    #: Ends of its sleep.
    wakes: int = 0
    pid: int | None = None
    started_at: float | None = None
    heartbeat_at: float | None = None
    #: Consecutive memory samples over the cap.
    samples_over: int = 0
    #: Deaths that count, oldest first, no older than the window.
    deaths: tuple[float, ...] = ()
    #: How far up the ladder of waits the next death is.
    rung: int = 0

    @property
    def state(self) -> State:
        """The state that ``phase`` belongs to."""
        return STATE_OF_PHASE[self.phase]

    @property
    def is_up(self) -> bool:
        """Whether a process should exist, all told."""
        return self.wanted is Wanted.RUNNING and not self.shutting_down
