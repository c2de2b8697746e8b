"""The marks by which a process of ours is recognised, also by a master that did not start it.

A worker carries three: its title ``brama: bot <id>``, its command name (comm) and, for whatever it
executes, the environment variable ``BRAMA_WORKER``. A child that a bot forks inherits title and command name;
a child that it executes inherits the variable.

Runs in: master | zygote | worker.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from brama.ids import BotId, Generation

#: Environment variable of a worker whose value is its marker.
MARKER_VARIABLE = "BRAMA_WORKER"

ZYGOTE_TITLE = "brama: zygote"

_INSTANCE_DIGITS = 16
_COMM_PREFIX = "brama."
#: The kernel keeps 15 bytes of a command name.
_COMM_BYTES = 15


@dataclass(frozen=True, slots=True)
class Marker:
    """Whose a process is: the instance (one state directory), the bot, and which of its processes."""

    instance: str
    bot_id: BotId
    generation: Generation

    def __str__(self) -> str:
        return f"{self.instance}/{self.bot_id}/{self.generation}"


def instance_of(state_dir: Path) -> str:
    """Return 16 hex digits that name the instance which keeps its state in ``state_dir``.

    Every spelling of one directory gives the same digits.
    """
    return hashlib.sha256(os.path.realpath(state_dir).encode()).hexdigest()[:_INSTANCE_DIGITS]


def parse_marker(text: str) -> Marker | None:
    """Return the marker that ``text`` spells, None if it spells none."""
    parts = text.split("/")
    if len(parts) != 3 or len(parts[0]) != _INSTANCE_DIGITS or not parts[2].isdecimal():
        return None
    return Marker(parts[0], BotId(parts[1]), Generation(int(parts[2])))


def comm_mark(instance: str) -> str:
    """Return the command name of every worker of ``instance``: at most the 15 bytes that the kernel keeps.

    To be set (PR_SET_NAME) after the title, which overwrites it.
    """
    return f"{_COMM_PREFIX}{instance}"[:_COMM_BYTES]


def worker_title(bot_id: str) -> str:
    """Return the process title of a bot's worker."""
    return f"brama: bot {bot_id}"
