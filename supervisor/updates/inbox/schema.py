"""The tables of the inbox and the connections to them.

An update's ids and its body live apart. Ids stay a day as the memory of what was seen and take about 60
bytes each; a body is deleted with its row of ``waiting`` the moment the update is through. In one table the
remembered rows kept their pages: 700 bytes an update instead of 60 (docs/decisions/inbox.md).

Runs in: master.
"""

import sqlite3
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Literal

from brama.errors import StateError
from supervisor.updates.inbox.files import damaged, prepare_files
from supervisor.updates.inbox.presence import FileReplacedError

#: Its name in the state directory.
STATE_FILE = "brama.db"

Durability = Literal["full", "normal"]

#: "Bram": tells our files from any other program's.
APPLICATION_ID = 0x4272616D
#: Up to this size the whole file is checked at open (about a second); of a larger one the small tables.
CHECKED_WHOLE_BYTES = 1024**3
#: The log is moved into the file at this many pages (4 MB), and cut back to this size when it was larger.
_CHECKPOINT_PAGES = 1000
_LOG_LIMIT_BYTES = 16 * 1024**2
_CACHE_KIB = 8192
#: How long another process, such as a backup, may hold the file before a statement fails.
_BUSY_S = 5.0
#: UPDATE ... FROM.
_OLDEST_SQLITE = (3, 33, 0)


class State(IntEnum):
    """What became of an update; ``updates.state``."""

    #: It has a row in ``waiting``.
    WAITING = 0
    #: Its bot acknowledged it.
    PROCESSED = 1
    #: The message window knew it.
    DROPPED = 2
    #: It became a dead letter, which may have been purged since.
    DEAD = 3


#: Statements that lead from each version to the next; the first make an empty file version 1.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sources (
            id INTEGER PRIMARY KEY,
            telegram_id INTEGER NOT NULL,
            base_url TEXT NOT NULL,
            committed INTEGER NOT NULL DEFAULT 0,
            processed INTEGER NOT NULL DEFAULT 0,
            dropped INTEGER NOT NULL DEFAULT 0,
            dead INTEGER NOT NULL DEFAULT 0,
            purged INTEGER NOT NULL DEFAULT 0,
            repeated INTEGER NOT NULL DEFAULT 0,
            UNIQUE (telegram_id, base_url))""",
        """CREATE TABLE updates (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            source INTEGER NOT NULL,
            update_id INTEGER NOT NULL,
            state INTEGER NOT NULL,
            settled_utc INTEGER,
            UNIQUE (source, update_id))""",
        "CREATE INDEX updates_settled ON updates (settled_utc) WHERE settled_utc IS NOT NULL",
        """CREATE TABLE waiting (
            seq INTEGER PRIMARY KEY,
            source INTEGER NOT NULL,
            update_id INTEGER NOT NULL,
            bot_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            lane TEXT NOT NULL,
            size INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            charges INTEGER NOT NULL,
            received_utc REAL NOT NULL,
            raw BLOB NOT NULL)""",
        "CREATE INDEX waiting_order ON waiting (source, seq, size)",
        """CREATE TABLE dead_letters (
            letter_id INTEGER PRIMARY KEY AUTOINCREMENT,
            source INTEGER NOT NULL,
            bot_id TEXT NOT NULL,
            update_id INTEGER,
            kind TEXT NOT NULL,
            lane TEXT NOT NULL,
            reason TEXT NOT NULL,
            error TEXT NOT NULL,
            detail TEXT NOT NULL,
            traceback TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            received_utc REAL NOT NULL,
            died_utc REAL NOT NULL,
            size INTEGER NOT NULL,
            raw BLOB NOT NULL)""",
        "CREATE INDEX dead_letters_source ON dead_letters (source, letter_id)",
        "CREATE INDEX dead_letters_bot ON dead_letters (bot_id, letter_id)",
        # Malformed elements without an update_id, by a digest of their bytes.
        """CREATE TABLE nameless (
            source INTEGER NOT NULL,
            digest BLOB NOT NULL,
            settled_utc INTEGER NOT NULL,
            PRIMARY KEY (source, digest)) WITHOUT ROWID""",
        "CREATE INDEX nameless_settled ON nameless (settled_utc)",
        "CREATE TABLE memory (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    ),
)


#: The oldest version whose program can work on a file of the newest one. A migration only adds (tables,
#: columns with defaults, indexes), so that this stays: the version before must be able to come back.
OLDEST_READER = 1
_OLDEST_READER_KEY = "schema/oldest_reader"


def open_for_writing(path: Path, durability: Durability) -> sqlite3.Connection:
    """Return the one connection that writes, on a file that is whole and of the current schema.

    Args:
        path: the state file; made if there is none, never replaced.
        durability: full syncs every commit to disk; normal may lose the last commits in a power cut.

    Raises:
        StateError: the file is damaged, read-only, foreign, newer than this program or in use.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StateError(f"SQLite {sqlite3.sqlite_version} is too old; a Python with 3.33 or newer is needed")
    prepare_files(path)
    connection = _connect(path)
    try:
        _check_identity(connection, path)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise StateError(f"{path}: no write-ahead log can be kept here; put state_dir on a local disk")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _check_pages(connection, path)
        migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _state_error(path, error) from None
    except StateError:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write, for one other thread."""
    try:
        connection = _connect(path)
        connection.execute("PRAGMA query_only = ON")
        # The first read opens the log by its path: now, while it surely is the writer's.
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        raise _state_error(path, error) from None
    return connection


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
    oldest_reader: int = OLDEST_READER,
) -> None:
    """Bring the file to the newest of ``migrations``, in one transaction.

    A file of a newer program is left as it is where that says that this one can work on it.

    Raises:
        StateError: it cannot.
    """
    version = _number(connection, "user_version")
    _check_version(connection, path, version, len(migrations))
    if version >= len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(
        "INSERT OR REPLACE INTO memory VALUES (?, ?)", (_OLDEST_READER_KEY, str(oldest_reader).encode())
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT")


def check_readable(path: Path) -> None:
    """Make sure that ``open_for_writing`` would take a file that another process has open; changes nothing.

    Raises:
        StateError: it would not.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        try:
            _check_identity(connection, path)
            _check_version(connection, path, _number(connection, "user_version"), len(MIGRATIONS))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _state_error(path, error) from None


def reason_of(path: Path, error: Exception) -> str:
    """Return one line of why the state file could not be read or written."""
    if isinstance(error, FileReplacedError):
        return str(error)
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name == "SQLITE_FULL":
        return f"{path}: the disk is full; make room on it"
    if name.startswith("SQLITE_IOERR"):
        return f"{path}: input/output error ({name}); check the disk"
    if name.startswith("SQLITE_READONLY"):
        return f"{path}: the disk or the file has become read-only"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{path}: another process holds the state file"
    return f"{path}: {error} ({name})"


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    if _number(connection, "application_id") == APPLICATION_ID:
        return
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise StateError(f"{path}: is another program's database; move it away, or change state_dir")


def _check_version(connection: sqlite3.Connection, path: Path, version: int, known: int) -> None:
    if version <= known:
        return
    row = connection.execute("SELECT value FROM memory WHERE key = ?", (_OLDEST_READER_KEY,)).fetchone()
    if row is None or int(row[0]) > known:
        raise StateError(
            f"{path}: the state file has schema {version}, made by a newer brama-supervisor; this one knows "
            f"up to {known}: start the newer program, or change state_dir"
        )


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse damaged pages. quick_check reads about 1 GB a second and finds what breaks trees, not bodies."""
    whole = path.stat().st_size <= CHECKED_WHOLE_BYTES
    for scope in ("",) if whole else ("(sources)", "(memory)", "(nameless)"):
        answer = connection.execute(f"PRAGMA quick_check{scope}").fetchone()
        if answer != ("ok",):
            raise damaged(path, str(answer[0]).strip().splitlines()[-1])


def _state_error(path: Path, error: sqlite3.Error) -> StateError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or not name:
        return damaged(path, str(error))
    return StateError(reason_of(path, error))


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
