"""A worker's own log: the file behind its standard output and standard error.

The file descriptors 1 and 2 are the file, so that what C code, a crashing interpreter and executed programs
print arrives as well (as they wrote it; only text that passes ``sys.stdout`` and ``sys.stderr`` is
redacted). Nothing here raises into bot code: what cannot be written, as on a full disk, is dropped, counted,
and said once writing works again.

Runs in: worker.
"""

import errno
import os
import stat
import threading
from contextlib import suppress

#: Rotated files that are kept: ``.1`` is the newest.
KEPT_FILES = 3

#: Bot output may quote messages, so nobody but the owner reads it.
MODE = 0o600

#: Errors of a full or failing disk: the file is worth another try later.
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class LogFile:
    """The file at ``path``, rotated by rename when it is over ``max_bytes`` (0: never).

    Only the process that installed it rotates; one that it forked follows a rotation when it notices it.
    """

    def __init__(self, path: str, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.dropped_lines = 0
        self._owner_pid = os.getpid()
        self._lock = threading.RLock()
        self._at_line_start = True
        self._on_null = False
        self._spare: int | None = None
        os.register_at_fork(after_in_child=self._forked)

    # --- opening ----------------------------------------------------------------------------------

    def install(self, uid: int | None = None, gid: int | None = None) -> None:
        """Open the file, give it to ``uid`` and ``gid`` if set, and put it under file descriptors 1 and 2.

        A full disk leaves both on /dev/null until a later write finds room.

        Raises:
            OSError: the path can never be opened for appending.
        """
        with suppress(OSError):
            self._rotate_if_over(os.stat(self.path))
        try:
            self._open(uid, gid)
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            self._to_null()

    def reopen(self) -> None:
        """Open the path anew, after somebody renamed the file; keep the old file if that fails."""
        with self._lock, suppress(OSError):
            self._open(None, None)

    def keep_spare(self, uid: int, gid: int) -> None:
        """Open ``.1`` for a process that will not be allowed to rename: it rotates by copying there.

        Raises:
            OSError: the file cannot be created.
        """
        self._spare = os.open(f"{self.path}.1", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)
        os.fchown(self._spare, uid, gid)

    def _open(self, uid: int | None, gid: int | None) -> None:
        try:
            fd = os.open(self.path, _FLAGS, MODE)
        except FileNotFoundError:  # somebody renamed the whole folder
            with suppress(FileExistsError):  # a link to nowhere: the open says it better
                os.makedirs(os.path.dirname(self.path), exist_ok=True)
            fd = os.open(self.path, _FLAGS, MODE)
        try:
            if uid is not None and gid is not None:
                os.fchown(fd, uid, gid)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            self._on_null = False
        finally:
            os.close(fd)

    def _to_null(self) -> None:
        self._on_null = True
        fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)

    def _forked(self) -> None:
        self._lock = threading.RLock()

    # --- writing ----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Append ``data``, or drop it and count its lines."""
        with self._lock:
            if self._on_null:
                self.reopen()
            if (self.dropped_lines and not self._confess()) or not self._append(data):
                self.dropped_lines += max(1, data.count(b"\n"))
            else:
                with suppress(OSError):
                    self._rotate_if_over(os.fstat(1))

    def _append(self, data: bytes) -> bool:
        if self._on_null:
            return False
        try:
            written = os.write(1, data)
            while written < len(data):  # a disk that becomes full takes a part
                self._at_line_start = data[written - 1 : written] == b"\n"
                written += os.write(1, data[written:])
        except OSError:
            return False
        self._at_line_start = data.endswith(b"\n")
        return True

    def _confess(self) -> bool:
        """Say how many lines are missing at this place; False if that cannot be written either."""
        start = b"" if self._at_line_start else b"\n"
        line = b"[brama] %d lines could not be written here\n" % self.dropped_lines
        if not self._append(start + line):
            return False
        self.dropped_lines = 0
        return True

    # --- rotation ---------------------------------------------------------------------------------

    def _rotate_if_over(self, current: os.stat_result) -> None:
        if 0 < self.max_bytes <= current.st_size and stat.S_ISREG(current.st_mode):
            try:
                named = os.stat(self.path)
            except FileNotFoundError:
                self.reopen()
                return
            except PermissionError:  # the folder is closed to this worker's uid
                self._copy_to_spare()
                return
            if not os.path.samestat(current, named):
                self.reopen()  # another process of this bot, or the operator, has rotated
            elif os.getpid() == self._owner_pid:
                self._rotate()

    def _rotate(self) -> None:
        try:
            for number in range(KEPT_FILES - 1, 0, -1):
                with suppress(FileNotFoundError):
                    os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            os.rename(self.path, f"{self.path}.1")
        except PermissionError:
            self._copy_to_spare()
        else:
            self.reopen()

    def _copy_to_spare(self) -> None:
        if self._spare is not None:
            os.ftruncate(self._spare, 0)
            os.lseek(self._spare, 0, os.SEEK_SET)
            offset = 0
            while copied := os.sendfile(self._spare, 1, offset, 1 << 20):
                offset += copied
            os.ftruncate(1, 0)
