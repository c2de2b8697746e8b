"""The file in the state directory that holds what must not get lost: dead letters, the outbox, LLM tasks.

Every process that enqueues or runs jobs has it open; SQLite's write-ahead log keeps them apart. A commit is
synced to disk before it is believed.

Runs in: master | job worker | command line.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from brama.clock import monotonic_s
from brama.errors import StateError
from jobs.errors import NotOpenError

FILE_NAME = "jobs.db"
#: "BrmJ": tells our file from any other program's.
_APPLICATION_ID = 0x42726D4A
_BUSY_S = 5.0
#: After how long the next use tries again to open what could not be opened.
_REOPEN_S = 1.0

#: Statements that lead from each version to the next; the first make an empty file version 1.
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE dead_letters (
            letter_id INTEGER PRIMARY KEY AUTOINCREMENT,
            queue TEXT NOT NULL,
            job_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            name TEXT NOT NULL,
            cause TEXT NOT NULL,
            error TEXT NOT NULL,
            stack TEXT NOT NULL,
            payload TEXT NOT NULL,
            created_utc REAL NOT NULL,
            died_utc REAL NOT NULL,
            resolved_utc REAL,
            note TEXT NOT NULL DEFAULT '',
            UNIQUE (queue, job_id, attempt))""",
        "CREATE INDEX dead_letters_open ON dead_letters (letter_id) WHERE resolved_utc IS NULL",
        """CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            queue TEXT NOT NULL,
            job_id TEXT NOT NULL,
            job TEXT NOT NULL,
            UNIQUE (queue, job_id))""",
    ),
    (
        # The death that an operator was told of; a letter that opens again has another one.
        "ALTER TABLE dead_letters ADD COLUMN told_died_utc REAL",
        "UPDATE dead_letters SET told_died_utc = died_utc",
        """CREATE INDEX dead_letters_untold ON dead_letters (letter_id)
            WHERE resolved_utc IS NULL AND told_died_utc IS NOT died_utc""",
    ),
    # Who wants to know how the job ends, as JSON.
    ("ALTER TABLE dead_letters ADD COLUMN origin TEXT NOT NULL DEFAULT 'null'",),
    (
        """CREATE TABLE llm_tasks (
            job_id TEXT PRIMARY KEY,
            body_hash TEXT NOT NULL,
            status TEXT NOT NULL,
            result TEXT,
            error TEXT,
            changed_utc REAL NOT NULL)""",
        "CREATE INDEX llm_tasks_changed ON llm_tasks (changed_utc)",
    ),
)

T = TypeVar("T")


class Database:
    """One connection, used by a thread of its own so that no sync to disk stops an event loop.

    Args:
        state_dir: made if there is none.
        must_open: False opens the file at its first use, and tries again at later ones if that fails.

    Raises:
        StateError: the file cannot be opened, or is another program's or a newer one's.
    """

    def __init__(self, state_dir: Path, *, must_open: bool = True) -> None:
        self._path = state_dir / FILE_NAME
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs-db")
        self._connection: sqlite3.Connection | None = None
        self._trouble = ""
        self._retry_at = float("-inf")
        if must_open:
            try:
                self._connection = self._thread.submit(self._open).result()
            except BaseException:
                self._thread.shutdown()
                raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction that is on disk when this returns.

        Raises:
            NotOpenError: the file could not be opened so far.
            StateError: it cannot be read or written; nothing was changed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._in_transaction, work)

    def close(self) -> None:
        """Let go of the file, once what was begun is through."""
        if self._connection is not None:
            self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _in_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._opened()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _state_error(self._path, error) from error
        return result

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            if monotonic_s() < self._retry_at:
                raise NotOpenError(self._trouble)
            try:
                self._connection = self._open()
            except StateError as error:
                self._trouble, self._retry_at = str(error), monotonic_s() + _REOPEN_S
                raise NotOpenError(self._trouble) from None
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        except OSError as error:
            raise StateError(f"{self._path}: cannot be written: {error.strerror}; set state_dir") from None
        except sqlite3.Error as error:
            raise _state_error(self._path, error) from None
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._migrate(connection)
        except sqlite3.Error as error:
            connection.close()
            raise _state_error(self._path, error) from None
        except StateError:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the file to the present version; one that has it is not written to, as on a full disk."""
        if _read_version(connection, self._path) == len(_MIGRATIONS):
            return
        connection.execute("BEGIN IMMEDIATE")
        version = _read_version(connection, self._path)
        for statements in _MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        connection.execute("COMMIT")


def check_readable(state_dir: Path) -> None:
    """Make sure that the file of ``state_dir``, if there is one, is ours and not newer; it stays as it is.

    Raises:
        StateError: it is of no use.
    """
    path = state_dir / FILE_NAME
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only = 1")
            _read_version(connection, path)
    except sqlite3.Error as error:
        raise _state_error(path, error) from None


def _read_version(connection: sqlite3.Connection, path: Path) -> int:
    identity, version = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
    )
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and identity != _APPLICATION_ID:
        raise StateError(f"{path}: is another program's database; move it away, or set state_dir")
    if version > len(_MIGRATIONS):
        raise StateError(f"{path}: was made by a newer brama-supervisor; start that one")
    return version


def _state_error(path: Path, error: sqlite3.Error) -> StateError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return StateError(f"{path}: the disk is full; make room on it")
    return StateError(f"{path}: {error} ({name or type(error).__name__})")
