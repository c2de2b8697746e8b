"""Reads the end of a log file, and what is added to it, over rotation and truncation.

Runs in: command line.
"""

import os
import select
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

_BLOCK_BYTES = 64 * 1024
#: Between two looks at a file that does not grow.
PAUSE_S = 0.2


class Tail:
    """A log file from its last lines on.

    The writer rotates by renaming the file and making a new one of the old name: once there is a new one
    nobody writes to the old any more, so what is left in the old is read first.
    """

    def __init__(self, path: Path, lines: int) -> None:
        """``lines`` is how many of the last lines come first; 0 for none."""
        self._path = path
        self._lines = lines
        self._file: BinaryIO | None = None
        self._rest = b""

    def read_end(self) -> list[bytes]:
        """Return the last lines, without newlines. Raises OSError if the file cannot be read."""
        self._file = self._path.open("rb")
        self._file.seek(start_of_last_lines(self._file, self._lines))
        return self._take()

    def read_rest(self) -> bytes:
        """Return what stands after the last newline, if anything."""
        rest, self._rest = self._rest, b""
        return rest

    def follow(self) -> Generator[bytes, None, None]:
        """Yield each further line when it is complete, for ever; waits for a file that is not there yet."""
        with ExitStack() as closing:
            closing.callback(self.close)
            while True:
                yield from self._take()
                if self._was_replaced():
                    yield from self._take()
                    if rest := self.read_rest():
                        yield rest
                    self._reopen()
                    continue
                self._rewind_if_truncated()
                select.select([], [], [], PAUSE_S)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self) -> list[bytes]:
        """Return the complete lines that were added."""
        taken: list[bytes] = []
        while self._file is not None and (block := self._file.read(_BLOCK_BYTES)):
            *complete, self._rest = (self._rest + block).split(b"\n")
            taken += complete
        return taken

    def _was_replaced(self) -> bool:
        try:
            found = os.stat(self._path)
        except OSError:
            return False  # renamed, and the writer has not made the new one yet
        if self._file is None:
            return True
        held = os.fstat(self._file.fileno())
        return (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino)

    def _rewind_if_truncated(self) -> None:
        if self._file is not None and os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""

    def _reopen(self) -> None:
        self.close()
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._file = None


def start_of_last_lines(file: BinaryIO, lines: int) -> int:
    """Return the offset where the last ``lines`` lines of ``file`` begin; reads no more than those."""
    end = position = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    wanted = lines
    while position > 0:
        begin = max(0, position - _BLOCK_BYTES)
        file.seek(begin)
        block = file.read(position - begin)
        if position == end and block.endswith(b"\n"):
            wanted += 1  # the newline that ends the last line begins none
        found = block.count(b"\n")
        if found >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return begin + at + 1
        wanted -= found
        position = begin
    return 0
