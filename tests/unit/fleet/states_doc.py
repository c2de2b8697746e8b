"""Writes the tables of docs/states.md by running the policy: ``python -m tests.unit.fleet.states_doc``."""

from dataclasses import replace
from pathlib import Path

from supervisor.fleet.policy.effects import Effect, Remember
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
from supervisor.fleet.policy.model import ALIVE, TIMED, Limits, Phase, Sequel, State, Wanted, Worker

DOC = Path(__file__).parents[3] / "docs" / "states.md"
BEGIN = "<!-- tables: written by `python -m tests.unit.fleet.states_doc`, held by a test -->"

NOW = 10_000.0
DEADLINE_AT = NOW + 10.0
LIMITS = Limits(idle_timeout_s=1800.0)

#: What can happen, in words, and an event that stands for it.
EVENTS: dict[str, Event] = {
    "the master starts": MasterStarted(),
    "the master starts, it slept": MasterStarted(slept=True),
    "`start`": StartCommanded(),
    "`restart`": RestartCommanded(),
    "`stop`": StopCommanded(),
    "the master ends": ShutdownCommanded(90.0),
    "the master ends at once": ShutdownCommanded(0.0),
    "another master cannot go on with it": Retired(),
    "another master has taken over": CodeChanged(),
    "enabled by the configuration": Enabled(),
    "disabled, or removed from it": Disabled("…"),
    "its entry changed": EntryChanged(),
    "its limits changed": LimitsChanged(),
    "identity known": IdentityKnown(),
    "Bot API unreachable": IdentityUnreachable("connection refused"),
    "token rejected": TokenRejected("401 Unauthorized"),
    "updates wait for it": UpdatesWaited(),
    "forked": SpawnSucceeded(4711),
    "fork failed, or withdrawn": SpawnFailed("Resource temporarily unavailable"),
    "no room": CapacityRefused("limits.max_workers"),
    "room again": CapacityFreed(),
    "ready": ReadyReceived(),
    "last words: it cannot work": BootFailed(True, "no module named shop"),
    "last words: network": BootFailed(False, "connection refused"),
    "heartbeat": HeartbeatReceived(1),
    "asked, it agrees to sleep": SleepAgreed(),
    "asked, it stays awake": SleepRefused("2 jobs are scheduled"),
    "third memory sample over the cap": MemorySampled(LIMITS.memory_bytes + 1),
    "pipe closed, process alive": LinkBroken("closed its pipe"),
    "exit, a death": WorkerExited(code=1),
    "exit, charged to an update": WorkerExited(code=1, charged=True),
    "exit code 75": WorkerExited(code=75),
    "exit code 78": WorkerExited(code=78),
    "deadline": DeadlinePassed(),
}

#: Exits of a process that is being ended are told apart by what was decided to follow, not by their code.
EXITS = tuple(words for words, event in EVENTS.items() if isinstance(event, WorkerExited))

SEQUELS: dict[str, tuple[Sequel, Wanted, float]] = {
    "`stop`, or the master ends": (Sequel.STOP, Wanted.STOPPED, 60.0),
    "`restart`": (Sequel.RESTART, Wanted.RUNNING, 60.0),
    "memory over the cap, 10 min or more after the start": (Sequel.RECYCLE, Wanted.RUNNING, 600.0),
    "memory over the cap, earlier": (Sequel.RECYCLE, Wanted.RUNNING, 60.0),
    "hung, or deaf": (Sequel.DEATH, Wanted.RUNNING, 60.0),
    "it agreed to sleep": (Sequel.SLEEP, Wanted.RUNNING, 60.0),
    "last words: network": (Sequel.DEFER, Wanted.RUNNING, 60.0),
    "cannot work; token rejected; never polled": (Sequel.GIVE_UP, Wanted.RUNNING, 60.0),
}


def worker_in(phase: Phase) -> Worker:
    """Return a worker as it is in ``phase`` at NOW, its deadline being DEADLINE_AT."""
    worker = Worker(phase=phase, ingress_open=True, identified=True, generation=1, rung=1, reason="…")
    if phase in TIMED:
        worker = replace(worker, deadline_at=DEADLINE_AT)
    if phase in ALIVE:
        worker = replace(worker, pid=4711, started_at=NOW - 60, heartbeat_at=NOW - 80, samples_over=2)
    match phase:
        case Phase.STOPPED:
            return replace(worker, ingress_open=False, wanted=Wanted.STOPPED)
        case Phase.IDENTITY:
            return replace(worker, identified=False)
        case Phase.ABORT | Phase.DUMP | Phase.KILL:
            return replace(worker, sequel=Sequel.RESTART)
        case Phase.DRAIN | Phase.TERM:
            return replace(
                worker, sequel=Sequel.RESTART, term_at=DEADLINE_AT, kill_at=NOW + 28, commanded=True
            )
        case _:
            return worker


def render() -> str:
    """Return all tables."""
    parts = [_phase_table(phase) for state in State for phase in Phase if worker_in(phase).state is state]
    return "\n".join([*parts, _sequel_table()])


def _phase_table(phase: Phase) -> str:
    worker = worker_in(phase)
    rows, ignored = [], []
    for name, event in EVENTS.items():
        if name in EXITS and worker.sequel:
            continue
        start = replace(worker, wanted=Wanted.RUNNING) if isinstance(event, MasterStarted) else worker
        now = DEADLINE_AT if isinstance(event, DeadlinePassed) else NOW
        after, effects = step(start, event, now, LIMITS)
        if not effects and _place(after) == _place(worker) and after.reason == worker.reason:
            ignored.append(name)
        else:
            rows.append(_row(name, after, effects))
    if phase is Phase.DRAIN:
        early = replace(worker, term_at=DEADLINE_AT + 10)
        rows.append(_row("deadline, no heartbeat", *step(early, DeadlinePassed(), DEADLINE_AT, LIMITS)))
    if worker.sequel and phase in ALIVE:
        rows.append("| exit | what was decided, see below | |")
    head = f"### {worker.state}: {phase}\n\n| event | becomes | and does |\n|---|---|---|\n"
    return head + "\n".join(rows) + f"\n\nChanges neither: {'; '.join(ignored)}.\n"


def _row(name: str, after: Worker, effects: tuple[Effect, ...]) -> str:
    return f"| {name} | {_place(after)} | {_names(effects)} |"


def _sequel_table() -> str:
    rows = []
    for name, (sequel, wanted, ran_s) in SEQUELS.items():
        ended = replace(
            worker_in(Phase.TERM), sequel=sequel, wanted=wanted, started_at=NOW - ran_s, identified=True
        )
        after, effects = step(ended, WorkerExited(code=0), NOW, LIMITS)
        rows.append(f"| {sequel} | {name} | {_place(after)} | {_names(effects)} |")
    head = "### What follows an end\n\n| decided | when | becomes | and does |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _place(worker: Worker) -> str:
    then = f", then {worker.sequel}" if worker.sequel else ""
    return f"{worker.state}: {worker.phase}{then}"


def _names(effects: tuple[Effect, ...]) -> str:
    return ", ".join(
        f"{type(effect).__name__} {effect.wanted}" if isinstance(effect, Remember) else type(effect).__name__
        for effect in effects
    )


def main() -> None:
    """Write the tables into docs/states.md, below its prose."""
    prose, _, _ = DOC.read_text().partition(BEGIN)
    DOC.write_text(f"{prose}{BEGIN}\n\n{render()}")


if __name__ == "__main__":
    main()
