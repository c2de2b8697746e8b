"""Forgets what is old and clears the log, in small steps while the writer has nothing else to do.

Runs in: master (the writer's thread).
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.updates.inbox.books import Books, Change
from supervisor.updates.inbox.dead_letters import purge_older
from supervisor.updates.inbox.transaction import save_counters
from supervisor.updates.model import Source

#: Rows of each table that one step forgets at most: about five milliseconds.
_STEP_ROWS = 1000
#: Under load one step in this many seconds is made all the same.
_BUSY_STEP_S = 1.0
#: Under load the log, in which erased texts stand until it is overwritten, is cleared this often.
_BUSY_CLEAR_S = 60.0
#: How long clearing the log may wait for a reader of another process.
_CLEAR_WAIT_MS = 100


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """How long and how much the inbox keeps; seconds and counts.

    ``remembered_s``: update_ids of updates that are through (Telegram delivers again for 24 h at most).
    ``letters_s``, ``letters_per_bot``: dead letters. ``sweep_interval_s``: between looks for what is older.
    ``clear_after_s``: idle time after which the log is emptied, and with it erased texts are off the disk.
    """

    remembered_s: float = 24 * 3600.0
    letters_s: float = 7 * 24 * 3600.0
    letters_per_bot: int = 1000
    sweep_interval_s: float = 60.0
    clear_after_s: float = 5.0


class Housekeeping:
    """Says when something is due, and does one step of it. Moments are in monotonic seconds."""

    def __init__(
        self, connection: sqlite3.Connection, books: Books, limits: LedgerLimits, now: float
    ) -> None:
        self._connection = connection
        self._books = books
        self._limits = limits
        self._sweep_at = now
        self._stepped_at = now
        self._cleared_at = now
        self._written_at: float | None = now

    def wrote(self, now: float) -> None:
        """Something was committed: the log has texts in it again."""
        self._written_at = now

    def next_due_at(self) -> float:
        """Return when the next step is due if nothing else happens."""
        if self._written_at is None:
            return self._sweep_at
        return min(self._sweep_at, self._written_at + self._limits.clear_after_s)

    def step(self, now: float, now_utc: float, *, idle: bool) -> Sequence[tuple[Source, Change]]:
        """Do what is due, if anything; return what it changed in the tallies.

        A step that fails leaves everything as it was and is made again later; whether the disk is in order is
        said by the operations.
        """
        changes: Sequence[tuple[Source, Change]] = ()
        if now >= self._sweep_at and (idle or now >= self._stepped_at + _BUSY_STEP_S):
            changes = self._sweep(now, now_utc)
        if self._written_at is not None and (
            (idle and now >= self._written_at + self._limits.clear_after_s)
            or now >= self._cleared_at + _BUSY_CLEAR_S
        ):
            self._clear(now)
        return changes

    def _sweep(self, now: float, now_utc: float) -> Sequence[tuple[Source, Change]]:
        connection = self._connection
        draft = self._books.draft()
        cutoff_utc = now_utc - self._limits.remembered_s
        self._stepped_at = now
        self._sweep_at = now + self._limits.sweep_interval_s
        try:
            connection.execute("BEGIN IMMEDIATE")
            swept = [
                connection.execute(
                    """DELETE FROM updates WHERE seq IN (
                           SELECT seq FROM updates WHERE settled_utc < ? ORDER BY settled_utc LIMIT ?)""",
                    (cutoff_utc, _STEP_ROWS),
                ).rowcount,
                connection.execute(
                    """DELETE FROM nameless WHERE (source, digest) IN (
                           SELECT source, digest FROM nameless WHERE settled_utc < ? LIMIT ?)""",
                    (cutoff_utc, _STEP_ROWS),
                ).rowcount,
                purge_older(connection, draft, now_utc - self._limits.letters_s, _STEP_ROWS),
            ]
            save_counters(connection, draft)
            connection.execute("COMMIT")
        except sqlite3.Error:
            roll_back(connection)
            return ()
        if any(swept):
            self._written_at = now
        if max(swept) == _STEP_ROWS:
            self._sweep_at = now
        return self._books.adopt(draft)

    def _clear(self, now: float) -> None:
        """Move the log into the file and cut it to nothing."""
        self._cleared_at = now
        self._written_at = None
        wait_ms = self._connection.execute("PRAGMA busy_timeout").fetchone()[0]
        self._connection.execute(f"PRAGMA busy_timeout = {_CLEAR_WAIT_MS}")
        try:
            blocked, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if blocked:
                self._written_at = now
        except sqlite3.Error:
            self._written_at = now
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {wait_ms}")


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction that failed, whether or not SQLite has ended it already."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite rolls back by itself on most errors; a next BEGIN says if it did not.
            return
