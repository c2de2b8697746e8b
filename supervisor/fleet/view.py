"""What the fleet shows of a bot."""

from dataclasses import dataclass

from brama.ids import BotId
from supervisor.fleet.policy.model import State, Wanted


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One bot at one moment; ``_at`` are monotonic seconds.

    Attributes:
        is_overridden: a command said otherwise than ``enabled`` in the configuration.
        reason: why it is in this state, as a sentence; None: nothing to explain.
        pid: of its process; None: there is none.
        generation: processes asked for by this master.
        restarts: processes started after the first, less those that ended a sleep.
        wakes: ends of its sleep.
        idle_timeout_s: without an update for this long it may sleep; None: it never does.
        messages: updates acknowledged as processed.
        errors: reports of failed updates.
        memory_bytes: private memory, as the worker last said itself, else as estimated; 0: not known.
        heartbeat_at: None before the first.
        ready: whether it takes updates.
        mode: how updates are to come in, polling or webhook.
        origin: where its entry stands, file or platform.
    """

    bot_id: BotId
    state: State
    wanted: Wanted
    is_overridden: bool
    reason: str | None
    pid: int | None
    generation: int
    restarts: int
    wakes: int
    idle_timeout_s: float | None
    messages: int
    errors: int
    started_at: float | None
    memory_bytes: int
    heartbeat_at: float | None
    ready: bool
    mode: str
    origin: str
