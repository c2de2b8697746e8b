"""Looks at the state file and its neighbours before SQLite does.

SQLite repairs by forgetting: it deletes the log of a file that is gone or empty, and takes a log it cannot
read for an empty one. What is in them are updates that Telegram was told to forget, so both are refused.

Runs in: master.
"""

import os
import stat
from pathlib import Path

from brama.errors import StateError

#: First bytes of a write-ahead log: a magic number for either byte order of its checksums.
_WAL_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_WAL_HEADER_BYTES = 32

_WAY_OUT = "restore it from a backup, or move it away to start empty (updates that wait in it are then lost)"


def prepare_files(path: Path) -> None:
    """Make sure that ``path`` can be opened as a state file; create it, empty, if there is none.

    The file and its neighbours get mode 0600, since message texts are in them. A missing folder is created
    with mode 0700.

    Raises:
        StateError: one line with the path, what is wrong with it and the way out.
    """
    try:
        _check_folder(path.parent)
        _check_log(path)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _check_file(path)
    except OSError as error:
        raise StateError(f"{path}: cannot be used as the state file: {error.strerror}") from None


def neighbours(path: Path) -> tuple[Path, Path]:
    """Return the paths of the write-ahead log and its index, which belong to the state file ``path``."""
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def damaged(path: Path, what: str) -> StateError:
    """Return the error for a state file that is damaged; ``what`` is SQLite's word on it."""
    return StateError(f"{path}: the state file is damaged ({what}): {_WAY_OUT}")


def _check_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK) or not _has_write_bit(folder):
        raise StateError(f"{folder}: the state folder is read-only; make it writable, or change state_dir")


def _check_file(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        kind = "a folder" if path.is_dir() else "no regular file"
        raise StateError(
            f"{path}: is {kind}, where the state file belongs; move it away, or change state_dir"
        )
    for file in (path, *neighbours(path)):
        if not file.exists():
            continue
        if not os.access(file, os.W_OK) or not _has_write_bit(file):
            raise StateError(f"{file}: the state file is read-only; make it writable: chmod 600 {file}")
        if stat.S_IMODE(file.stat().st_mode) != 0o600:
            file.chmod(0o600)


def _check_log(path: Path) -> None:
    """Refuse a log whose file is gone or empty, and one whose beginning is no log's."""
    log, _ = neighbours(path)
    try:
        with log.open("rb") as stream:
            header = stream.read(_WAL_HEADER_BYTES)
    except FileNotFoundError:
        return
    if not header.strip(b"\0"):
        return
    if not path.exists() or path.stat().st_size == 0:
        state = "empty" if path.exists() else "gone"
        raise StateError(f"{path}: the state file is {state}, yet its log {log.name} has updates: {_WAY_OUT}")
    if header[:4] not in _WAL_MAGICS:
        raise damaged(log, "it does not begin as a write-ahead log does")


def _has_write_bit(path: Path) -> bool:
    """Return whether anybody may write; root may always, but a file that was made read-only is left alone."""
    return bool(path.stat().st_mode & 0o222)
