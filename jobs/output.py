"""What jobs print goes into their worker's log file, secrets hidden where Python writes it.

Runs in: job worker.
"""

import io
import os
import sys
from pathlib import Path

from brama.redaction import redact

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o640


class Output:
    """Standard output and standard error of this process, and of what it executes, into ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()
        for name, fd in (("stdout", 1), ("stderr", 2)):
            stream = _Redacting(fd)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)

    def follow(self) -> None:
        """Open the path anew if the file was renamed; to be called now and then."""
        try:
            there = os.stat(self._path)
        except OSError:
            self._open()
            return
        here = os.fstat(1)
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            self._open()

    def _open(self) -> None:
        try:
            file = os.open(self._path, _FLAGS, _MODE)
        except OSError:  # the old file has to do
            return
        for fd in (1, 2):
            os.dup2(file, fd)
        os.close(file)


class _Redacting(io.TextIOBase):
    """A text stream that hides secrets, line by line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._line = ""

    def write(self, text: str, /) -> int:
        *lines, self._line = (self._line + text).split("\n")
        if lines:
            self._put("".join(f"{line}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        if self._line:
            self._put(self._line)
            self._line = ""

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def _put(self, text: str) -> None:
        try:
            os.write(self._fd, redact(text).encode(errors="replace"))
        except OSError:  # a full disk ends no job
            return
