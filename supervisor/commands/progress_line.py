"""Says on stderr how far something has come: one line that changes on a terminal, few lines elsewhere.

Runs in: command line.
"""

import sys
from types import TracebackType
from typing import Self, TextIO

from brama.clock import monotonic_s

#: What takes less time than this is not talked about.
SILENT_S = 0.3
#: Between two lines where there is no terminal.
INTERVAL_S = 5.0


class ProgressLine:
    """A context manager; what was shown on a terminal is gone at its end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._next_at = monotonic_s() + (SILENT_S if self._is_terminal else INTERVAL_S)
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_terminal and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def show(self, text: str) -> None:
        """Say ``text`` if it is news and the last one was long enough ago."""
        now = monotonic_s()
        if text == self._shown or now < self._next_at:
            return
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{text}")
        else:
            self._stream.write(f"{text}\n")
            self._next_at = now + INTERVAL_S
        self._stream.flush()
        self._shown = text
