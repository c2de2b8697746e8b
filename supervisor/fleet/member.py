"""What the fleet keeps for one bot beside the policy's Worker.

Runs in: master.
"""

import asyncio
from dataclasses import dataclass

from brama.config.settings import BotSettings
from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.model import Limits, Phase, State, Wanted, Worker
from supervisor.fleet.view import WorkerView
from supervisor.fleet.worker_handle import WorkerHandle


@dataclass(slots=True)
class Member:
    """One bot of the fleet. Changed only by the fleet, never across an await."""

    settings: BotSettings
    limits: Limits
    worker: Worker
    uid: int | None = None
    #: It is no longer configured, and goes when its process has gone.
    is_leaving: bool = False
    identity: bytes | None = None
    #: Which kinds of updates its script asked for, None for all, once it has.
    has_asked: bool = False
    allowed_updates: list[str] | None = None
    handle: WorkerHandle | None = None
    #: Whether the router knows the process.
    delivering: bool = False
    timer: asyncio.TimerHandle | None = None
    timer_at: float | None = None
    #: Anonymous memory the process shares with the zygote it was forked from.
    shared_bytes: int = 0
    memory_bytes: int = 0
    heartbeat_at: float | None = None
    messages: int = 0
    errors: int = 0
    #: Updates that its last process had not finished when it was ended by our wish; they begin anew.
    unfinished: int = 0

    def view(self, why_spawning: str | None, *, before_start: bool = False) -> WorkerView:
        """Return how the bot stands.

        Args:
            why_spawning: explains a fork that is not answered yet.
            before_start: the fleet has not begun to start bots.
        """
        worker = self.worker
        state, reason = worker.state, worker.reason
        if worker.phase is Phase.SPAWN:
            reason = reason or why_spawning
        elif before_start and worker.is_up:
            state, reason = State.STARTING, reasons.STARTING_UP
        is_overridden = not self.is_leaving and self.settings.enabled != (worker.wanted is Wanted.RUNNING)
        if is_overridden and reason is None:
            reason = reasons.STARTED_BY_COMMAND
        return WorkerView(
            bot_id=self.settings.id,
            state=state,
            wanted=worker.wanted,
            is_overridden=is_overridden,
            reason=reason,
            pid=worker.pid,
            generation=worker.generation,
            restarts=max(worker.starts - 1 - worker.wakes, 0),
            wakes=worker.wakes,
            idle_timeout_s=self.limits.idle_timeout_s,
            messages=self.messages,
            errors=self.errors,
            started_at=worker.started_at,
            memory_bytes=self.memory_bytes,
            heartbeat_at=self.heartbeat_at,
            ready=worker.state is State.RUNNING,
            mode=self.settings.mode,
            origin=self.settings.origin,
        )
