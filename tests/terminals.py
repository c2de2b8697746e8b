"""Commands on a terminal, as a person sees them."""

import os
import pty
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

#: Rich begins every frame of a full screen at the top left corner.
_HOME = b"\x1b[H"


class Terminal:
    """A command on a terminal of 150 columns and 30 rows, ended with the block at the latest."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        self.seen = bytearray()
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**(environ or os.environ), "TERM": "xterm", "COLUMNS": "150", "LINES": "30"},
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def shows(self, *words: str) -> bool:
        """Return whether all ``words`` stand in the newest frame, or in all there was without frames."""
        frame = self.text().rpartition(_HOME.decode())[2]
        return all(word in frame for word in words)

    def text(self) -> str:
        """Return everything that was written so far, control sequences included."""
        while select.select([self._ours], [], [], 0)[0]:
            try:
                self.seen += os.read(self._ours, 65536)
            except OSError:  # nobody holds the other end any more
                break
        return self.seen.decode(errors="replace")

    def has_ended(self) -> bool:
        """Return whether the command has ended; takes what it writes, or it never would."""
        self.text()
        return self.process.poll() is not None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def type(self, text: str) -> None:
        """Type ``text``."""
        os.write(self._ours, text.encode())
