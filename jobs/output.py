"""What jobs print goes into their worker's log file, secrets hidden where Python writes it.

Runs in: job worker | job child.
"""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from brama.clock import monotonic_s
from brama.log_sink import rotate
from brama.redaction import redact_bytes

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o640
#: Between two looks at the path while something is printed, in seconds.
_LOOK_S = 1.0


class Output:
    """Standard output and standard error of this process, and of what it executes.

    Args:
        path: the log file; None leaves both where they are.
        rotate_bytes: the file is renamed and begun anew when it is larger; 0: never by this process.
    """

    def __init__(self, path: Path | None, rotate_bytes: int = 0) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._look_at = float("-inf")
        self._open()
        sys.stdout = sys.__stdout__ = _text_stream(self, 1)  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _text_stream(self, 2)  # type: ignore[misc]

    def follow(self) -> None:
        """Open the path anew if the file was renamed, or is too large; to be called now and then."""
        if self._path is None:
            return
        self._look_at = monotonic_s() + _LOOK_S
        here = os.fstat(1)
        try:
            there = os.stat(self._path)
            if not os.path.samestat(here, there):
                self._open()
            elif 0 < self._rotate_bytes < here.st_size:
                rotate(self._path)
                self._open()
        except OSError:
            self._open()

    def write(self, data: bytes, fd: int) -> None:
        """Write, secrets hidden."""
        if monotonic_s() >= self._look_at:
            self.follow()
        try:
            os.write(fd, redact_bytes(data))
        except OSError:  # a full disk ends no job
            return

    def _open(self) -> None:
        if self._path is None:
            return
        try:
            file = os.open(self._path, _FLAGS, _MODE)
        except OSError:  # the old file has to do
            return
        for fd in (1, 2):
            os.dup2(file, fd)
        os.close(file)


class _Redacting(io.BufferedIOBase):
    """The ``buffer`` of a text stream, which hands over whole lines."""

    def __init__(self, output: Output, fd: int) -> None:
        self._output = output
        self._fd = fd
        self.name = {1: "<stdout>", 2: "<stderr>"}[fd]
        self.mode = "wb"

    def write(self, data: "ReadableBuffer", /) -> int:
        raw = bytes(data)
        self._output.write(raw, self._fd)
        return len(raw)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd


def _text_stream(output: Output, fd: int) -> io.TextIOWrapper:
    buffer = cast("io.BufferedWriter", _Redacting(output, fd))
    return io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
