"""Knows whether commits fail now, why, and when to try again.

Runs in: master (the writer's thread).
"""

import os
import sqlite3
from pathlib import Path

from supervisor.updates.inbox.schema import reason_of

#: After a failed commit: the first wait before the next try; each later one doubles it, up to the longest.
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
#: A disk that was full has room again only with this much free beside twice what did not fit; else every
#: few pages that come free would let one batch in and end in the next failure.
ROOM_BYTES = 64 * 1024


class Stall:
    """Why commits fail, from the first failure to the first success. ``reason`` is None while all is well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failures = 0
        self._needed_bytes = 0
        self.reason: str | None = None
        #: Monotonic seconds of the next try.
        self.retry_at = 0.0

    def failed(self, error: Exception, now: float, size: int) -> None:
        """A commit of ``size`` bytes failed at ``now`` (monotonic s)."""
        self.reason = reason_of(self._path, error)
        self.retry_at = now + wait_s(self._failures)
        self._failures += 1
        self._needed_bytes = 0
        if is_disk_full(error):
            self._needed_bytes = ROOM_BYTES + 2 * size

    def passed(self, now: float) -> None:
        """A commit went through at ``now``: the stall is over, unless the disk is as good as full still."""
        if self._needed_bytes and self._free_bytes() < self._needed_bytes:
            self.retry_at = now + wait_s(self._failures)
            self._failures += 1
            return
        self.reason = None
        self._failures = 0
        self._needed_bytes = 0

    def _free_bytes(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return self._needed_bytes
        return disk.f_bavail * disk.f_frsize


def wait_s(failures: int) -> float:
    """Return how long to wait after as many failures in a row, before the one at hand."""
    return min(FIRST_WAIT_S * 2.0 ** min(failures, 16), LONGEST_WAIT_S)


def trouble_of(error: Exception) -> Exception | None:
    """Return ``error`` if it is the machine's or the file's; None if it is the operation's own."""
    if isinstance(error, MemoryError | OSError):
        return error
    if not isinstance(error, sqlite3.DatabaseError):
        return None
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError):
        return None
    # A wrong statement is the operation's, unless it is one that begins or ends a transaction.
    is_wrong_statement = error.sqlite_errorname == "SQLITE_ERROR" and "transaction" not in str(error)
    return None if is_wrong_statement else error


def is_disk_full(error: Exception) -> bool:
    """Return whether a write found no room."""
    return isinstance(error, sqlite3.Error) and error.sqlite_errorname == "SQLITE_FULL"
