"""What every job queue offers to the measurements."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Load:
    """One process's share.

    Args:
        socket: where the server listens.
        state_dir: where a process may keep files.
        queue: the queue's name.
        count: jobs to add.
        at_once: jobs on their way at once: added, or worked on.
        text: what each job carries.
    """

    socket: Path
    state_dir: Path
    queue: str
    count: int
    at_once: int
    text: str


class JobPeer(Protocol):
    """One job queue.

    A process that adds says ``ready`` on a line of standard output, begins when a line comes on its standard
    input, and says ``done``. Every process runs until SIGTERM.
    """

    name: str

    def adding(self, load: Load) -> list[str]:
        """Return the command of a process that adds ``load.count`` jobs."""

    def working(self, load: Load) -> list[str]:
        """Return the command of a worker of ``load.queue``."""
