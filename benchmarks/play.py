"""One chaos run as it goes: who plays, what was sent to whom, and what struck when."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers.ours import Ours
from benchmarks.project import Bot, Project
from benchmarks.stage import Stage
from benchmarks.verdict import Kill
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path

CHATS = 3


@dataclass(slots=True)
class Play:
    """One run.

    Attributes:
        dice: all that is random, from the run's seed.
        entries: by the bot's name, what its entry in the configuration has besides.
        kills: what was killed when.
        reloads: how often what was changed in the configuration of a running master.
        sent: how many messages each (bot, chat) got.
    """

    stage: Stage
    project: Project
    peer: Ours
    dice: random.Random
    entries: dict[str, dict[str, Any]]
    kills: list[Kill] = field(default_factory=list)
    reloads: Counter[str] = field(default_factory=Counter)
    sent: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def client(self) -> ControlClient:
        """Asks the master what the commands ask it."""
        return ControlClient(socket_path(self.project.folder / "state"))

    def send(self, bots: Sequence[Bot]) -> None:
        """Send the next numbered message to each of ``bots``, each in a chat at random."""
        batch = []
        for bot in bots:
            chat = self.dice.randrange(CHATS)
            number = self.sent.get((bot.telegram_id, chat), 0)
            self.sent[bot.telegram_id, chat] = number + 1
            batch.append({"bot": bot.telegram_id, "chat_id": chat + 1, "text": str(number)})
        self.stage.control.send_batch(batch)
