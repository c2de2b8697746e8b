"""Reads from a status how far a fleet has come in starting or stopping."""

from dataclasses import dataclass

from supervisor.control.status import MasterState, Status, WorkerStatus

#: A bot in one of these does what is wanted of it when it is wanted.
UP = frozenset({"RUNNING", "SLEEPING"})
#: Nothing more happens to a bot in one of these by itself within seconds: its start has succeeded or not.
SETTLED = UP | {"FATAL", "BACKOFF", "WAITING"}
#: How the reason of a bot begins that cannot start before something outside of the fleet is mended.
HELD_UP = ("Bot API unreachable: ",)
#: How the reason of a bot begins that waits for another one to fall asleep.
PASSING = "an idle bot is asked for its place: "
#: Bots named when several are in trouble.
MAX_TROUBLES = 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """A wanted bot that is not up, and why."""

    bot_id: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the ``wanted`` bots are ``up``, how many have ``settled``, how many processes live.

    ``sleeping`` of those that are up have no process. ``held`` of the wanted bots are still STARTING and say
    what holds them up. ``troubles`` names at most MAX_TROUBLES of the wanted bots that have settled and are
    not up, or are held up.
    """

    state: MasterState
    bots: int
    wanted: int
    up: int
    settled: int
    alive: int
    troubles: tuple[Trouble, ...] = ()
    held: int = 0
    sleeping: int = 0

    @property
    def unnamed_troubles(self) -> int:
        """How many more bots are in trouble than ``troubles`` names."""
        return self.settled - self.up + self.held - len(self.troubles)

    @property
    def is_settled(self) -> bool:
        """Whether every wanted bot runs or has a reason not to."""
        return self.settled >= self.wanted


def progress_of(status: Status) -> Progress:
    """Return how far the fleet has come."""
    wanted = [worker for worker in status.workers if is_wanted(worker)]
    settled = [worker for worker in wanted if worker.state in SETTLED and not is_passing(worker)]
    troubled = [worker for worker in settled if worker.state not in UP]
    held = [worker for worker in wanted if _is_held_up(worker)]
    return Progress(
        state=status.master.state,
        bots=len(status.workers),
        wanted=len(wanted),
        up=len(settled) - len(troubled),
        settled=len(settled),
        alive=sum(worker.pid is not None for worker in status.workers),
        troubles=tuple(
            Trouble(worker.bot_id, worker.state, worker.reason or "")
            for worker in (troubled + held)[:MAX_TROUBLES]
        ),
        held=len(held),
        sleeping=sum(worker.state == "SLEEPING" for worker in settled),
    )


def is_passing(worker: WorkerStatus) -> bool:
    """Return whether this bot has no room, and will have some as soon as another one sleeps."""
    return worker.state == "WAITING" and (worker.reason or "").startswith(PASSING)


def _is_held_up(worker: WorkerStatus) -> bool:
    return worker.state == "STARTING" and (worker.reason or "").startswith(HELD_UP)


def is_wanted(worker: WorkerStatus) -> bool:
    """Return whether the operator wants this bot to run."""
    return worker.wanted == "RUNNING"


def all_wanted_up(status: Status) -> bool:
    """Return whether every wanted bot is RUNNING or SLEEPING, and no job worker was given up."""
    if status.jobs is not None and any(worker.state == "FATAL" for worker in status.jobs.workers):
        return False
    return all(worker.state in UP for worker in status.workers if is_wanted(worker))


def describe_progress(progress: Progress, stopping_from: int | None = None) -> str:
    """Return a few words: ``starting 120/200``, ``stopping 80/200`` or ``198 of 200 bots running``.

    ``stopping_from`` is the number of processes when the stop began.
    """
    if progress.state is MasterState.STOPPING:
        total = max(stopping_from or 0, progress.alive)
        return f"stopping {total - progress.alive}/{total}"
    if not progress.is_settled:
        return f"starting {progress.settled}/{progress.wanted}"
    running = f"{progress.up - progress.sleeping} of {progress.wanted}"
    asleep = f", {progress.sleeping} sleeping" if progress.sleeping else ""
    return f"{running} {'bot' if progress.wanted == 1 else 'bots'} running{asleep}"
