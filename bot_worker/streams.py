"""``sys.stdout`` and ``sys.stderr`` of a worker: text streams that redact what they write.

Runs in: worker.
"""

import io
import sys
from typing import TYPE_CHECKING, cast

from brama.redaction import redact_bytes

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from bot_worker.log_file import LogFile


class RedactingBuffer(io.BufferedIOBase):
    """The ``buffer`` of a text stream: each write goes to the log as a whole, secrets hidden.

    A text stream hands over whole lines, so a secret is cut in two only by code that prints it in pieces and
    flushes between them.
    """

    def __init__(self, log: "LogFile", fd: int) -> None:
        self._log = log
        self._fd = fd
        self.name = {1: "<stdout>", 2: "<stderr>"}[fd]
        self.mode = "wb"

    def write(self, data: "ReadableBuffer", /) -> int:
        """Redact and write ``data``; never raises for what the disk does."""
        raw = bytes(data)
        self._log.write(redact_bytes(raw))
        return len(raw)

    def writable(self) -> bool:
        """Always true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor that executed programs may inherit; what they write is not redacted."""
        return self._fd


def install_streams(log: "LogFile") -> None:
    """Replace both output streams, also under the names by which ``sys`` keeps the originals."""
    sys.stdout = sys.__stdout__ = _text_stream(log, 1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text_stream(log, 2)  # type: ignore[misc]


def flush_streams() -> None:
    """Write what the standard streams hold, whatever bot code made of them."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the process is ending: nobody is left to tell
            continue


def _text_stream(log: "LogFile", fd: int) -> io.TextIOWrapper:
    buffer = cast("io.BufferedWriter", RedactingBuffer(log, fd))
    stream = io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    stream.mode = "w"  # type: ignore[misc]
    return stream
