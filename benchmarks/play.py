"""One chaos run as it goes: who plays, what was sent to whom, what struck when, what is to be undone."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.evidence import Strike
from benchmarks.faketime import WallClock
from benchmarks.peers.ours import Ours
from benchmarks.project import Bot, Project
from benchmarks.release import Release
from benchmarks.small_disk import SmallDisk
from benchmarks.stage import Stage
from brama.clock import monotonic_s
from brama.errors import BramaError
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path

CHATS = 3


@dataclass(slots=True)
class Play:
    """One run.

    Attributes:
        dice: all that is random in what is sent.
        entries: by the bot's name, what its entry in the configuration has besides.
        state_dir: where the master keeps its state.
        release: what is executed as the master.
        disk: a small one of its own for the state, None where none can be mounted.
        wall: the wall clock of the master and all below it, None where it cannot be moved.
        standing: processes that are stopped for a while; while the master is, nothing may be asked of it.
        strikes: what struck when.
        sent: when each message of a (bot, chat) was sent; its place is its number.
    """

    stage: Stage
    project: Project
    peer: Ours
    dice: random.Random
    entries: dict[str, dict[str, Any]]
    state_dir: Path
    release: Release
    disk: SmallDisk | None = None
    wall: WallClock | None = None
    standing: set[int] = field(default_factory=set)
    strikes: list[Strike] = field(default_factory=list)
    sent: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    _undone_at: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    @property
    def client(self) -> ControlClient:
        """Asks the master what the commands ask it."""
        return ControlClient(socket_path(self.state_dir))

    @property
    def master_pid(self) -> int:
        """The master's pid.

        Raises:
            RuntimeError: it has ended by itself; the text is what it said.
        """
        if not (roots := self.peer.roots()):
            said = (self.project.folder / "output.log").read_text()[-2000:]
            raise RuntimeError(f"the master has ended: {said}")
        return roots[0]

    def serving_pid(self, bot: Bot) -> int | None:
        """Return the pid of the worker of a bot that is RUNNING, None while there is none."""
        try:
            workers = self.client.status().workers
        except (BramaError, OSError):
            return None
        return next(
            (each.pid for each in workers if each.bot_id == bot.name and each.state == "RUNNING"), None
        )

    def send(self, bots: Sequence[Bot]) -> None:
        """Send the next numbered message to each of ``bots``, each in a chat at random."""
        batch, now = [], monotonic_s()
        for bot in bots:
            chat = self.dice.randrange(CHATS)
            moments = self.sent.setdefault((bot.telegram_id, chat), [])
            batch.append({"bot": bot.telegram_id, "chat_id": chat + 1, "text": str(len(moments))})
            moments.append(now)
        self.stage.control.send_batch(batch)

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Have ``undo`` called in about ``seconds``, and in any case before the run is judged."""
        self._undone_at.append((monotonic_s() + seconds, undo))

    def undo(self, *, everything: bool = False) -> bool:
        """Undo what is due, or everything; return whether nothing is left to be undone."""
        now = monotonic_s()
        due = [each for each in self._undone_at if everything or each[0] <= now]
        self._undone_at = [each for each in self._undone_at if each not in due]
        for _, undo in due:
            undo()
        return not self._undone_at
