"""Knows whether the state file that is open still is the one at its path.

A file that is removed or replaced while it is open takes commits as ever, and nobody finds them again.

Runs in: master (the writer's thread).
"""

from pathlib import Path

from brama.clock import Clock
from supervisor.updates.inbox.files import neighbours

#: Under load the paths are looked at this often at most: what was committed in between may be in a lost file.
LOOK_EVERY_S = 1.0
#: While nothing is written they are looked at this often.
IDLE_LOOK_S = 2.0


class FileReplacedError(OSError):
    """The open file is no longer at its path. Its text is one line for the user."""


class Presence:
    """Compares what is at the paths of the state file and its log with what was there when they were opened.

    It asks for the paths' status only: to open and close a file that SQLite has open drops SQLite's locks.

    Args:
        path: the state file; it and its log have been opened.
        monotonic: clock of intervals.

    Raises:
        OSError: the paths could not be looked at.
    """

    def __init__(self, path: Path, monotonic: Clock) -> None:
        self._opened = {file: _identity(file) for file in (path, neighbours(path)[0])}
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._is_well = True

    def check(self) -> None:
        """Look, unless all was well less than a second ago.

        Raises:
            FileReplacedError: a path has another file, or none.
            OSError: a path could not be looked at.
        """
        now = self._monotonic()
        if self._is_well and now < self._looked_at + LOOK_EVERY_S:
            return
        self._looked_at = now
        self._is_well = False
        for file, opened in self._opened.items():
            found = _identity(file)
            if found is None or found != opened:
                raise FileReplacedError(replaced(file))
        self._is_well = True

    def next_look_at(self) -> float:
        """Return when to look if nothing is written until then, in monotonic seconds."""
        return self._looked_at + IDLE_LOOK_S


def replaced(file: Path) -> str:
    """Return the line on a file that is not at its path any more."""
    return (
        f"{file}: was removed or replaced while in use; intake has stopped, and acknowledgements are kept in "
        "memory; move the same file back (no copy) and it goes on; if it is gone for good, restart: "
        "updates that still wait in it are then lost"
    )


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
