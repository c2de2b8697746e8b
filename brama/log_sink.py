"""Writes log lines to files from a thread of its own.

A full disk or a slow terminal must never stop the master's loop: lines go over a bounded queue, what does
not fit or cannot be written is counted, and the count is the first thing written once there is room.

Runs in: master.
"""

import contextlib
import os
import queue
import sys
import threading
from pathlib import Path

from brama.clock import Clock, monotonic_s

#: About 4 MB of typical lines; beyond that the disk has been stuck for long and lines are dropped.
MAX_QUEUED_LINES = 20_000
#: Rotated files kept beside the current one: master.log.1 is the youngest.
KEPT_FILES = 3
#: Between two looks whether the path still names the file that is open.
LOOK_S = 1.0

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o640


class LogSink:
    """One log file, with an optional copy for the terminal, fed without blocking.

    When the file was renamed or removed, by hand or by logrotate, the path is opened anew: a line that comes
    within LOOK_S of an earlier one may still reach the old file.

    Args:
        path: the file; made with mode 0640 if missing. None: terminal only.
        rotate_size_bytes: the file is renamed and started anew when it would grow over this.
        console: also write each line's readable form to standard output.
        clock: monotonic seconds; read by the sink's thread.
    """

    def __init__(
        self, path: Path | None, *, rotate_size_bytes: int, console: bool, clock: Clock = monotonic_s
    ) -> None:
        self._path = path
        self._rotate_size_bytes = rotate_size_bytes
        self._console = console
        self._queue: queue.SimpleQueue[tuple[bytes, str] | None] = queue.SimpleQueue()
        self._dropped = 0
        self._fd = -1
        self._size_bytes = 0
        self._torn = False
        self._reopen_wanted = threading.Event()
        self._clock = clock
        self._next_look = clock()
        if path is not None:
            self._open()
        self._thread = threading.Thread(target=self._run, name="brama-log", daemon=True)
        self._thread.start()

    def write(self, line: bytes, readable: str) -> None:
        """Queue one line: ``line`` for the file, without its newline, ``readable`` for a terminal."""
        if self._queue.qsize() >= MAX_QUEUED_LINES:
            self._dropped += 1
            return
        self._queue.put((line, readable))

    @property
    def dropped(self) -> int:
        """Lines lost so far that no later line has told of yet."""
        return self._dropped

    def silence_console(self) -> None:
        """Write to the file alone from now on: the terminal belongs to a live table."""
        self._console = False

    def reopen(self) -> None:
        """Open the path anew before the next line, without waiting for the next look at it."""
        self._reopen_wanted.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued, then end the thread; after ``timeout_s`` the rest is given up."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            line, readable = item
            if self._console:
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.write(readable + "\n")
                    sys.stdout.flush()
            if self._path is not None:
                self._append(line + b"\n")

    def _append(self, line: bytes) -> None:
        try:
            if self._reopen_wanted.is_set():
                self._reopen_wanted.clear()
                self._open()
            elif self._clock() >= self._next_look:
                self._follow_path()
            if self._size_bytes + len(line) > self._rotate_size_bytes > 0:
                self._rotate()
            if self._dropped:
                said = b'{"event": "log.lines_dropped", "level": "warning", "count": %d}\n' % self._dropped
                self._write(said)
                self._dropped = 0
            self._write(line)
        except OSError:
            self._dropped += 1

    def _follow_path(self) -> None:
        """Open the path anew if it names another file or none; keep the old file if that fails."""
        assert self._path is not None
        self._next_look = self._clock() + LOOK_S
        with contextlib.suppress(OSError):
            try:
                is_same = os.path.samestat(os.stat(self._path), os.fstat(self._fd))
            except FileNotFoundError:
                is_same = False
            if not is_same:
                self._open()

    def _write(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        written = os.write(self._fd, line)
        self._size_bytes += written
        self._torn = written < len(line)
        if self._torn:
            raise OSError("the disk took a part of a line")

    def _open(self) -> None:
        assert self._path is not None
        try:
            fd = os.open(self._path, _FLAGS, _MODE)
        except FileNotFoundError:  # somebody renamed the whole folder
            with contextlib.suppress(FileExistsError):  # a link to nowhere: the open says it better
                self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, _FLAGS, _MODE)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._size_bytes = os.fstat(fd).st_size

    def _rotate(self) -> None:
        assert self._path is not None
        rotate(self._path)
        self._open()


def rotate(path: Path) -> None:
    """Rename the log file at ``path`` to ``.1``, and older ones each to the next number."""
    for number in range(KEPT_FILES, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        with contextlib.suppress(FileNotFoundError):
            newer.rename(older)
