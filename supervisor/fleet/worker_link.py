"""The master's end of one worker generation's pipe.

Never blocks: what a stopped worker does not read is kept here, and its size is known. Messages sent in one
turn of the loop leave in one write.

Runs in: master.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from brama.errors import ProtocolError
from brama.frames import FrameReader, encode_frame
from brama.messages import FromWorker, ToWorker, decode_from_worker, encode_messages

#: Read at a time; a flood from one worker must not keep the others waiting.
_CHUNK_BYTES = 256 * 1024
#: Written at a time; the kernel takes less of a socket's peer that is busy.
_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rest:
    """What is halfway through a pipe: bytes of a message that has not come whole, bytes not written yet."""

    unread: bytes = b""
    unsent: bytes = b""


NO_REST = Rest()


class WorkerLink:
    """Frames out, messages in.

    Args:
        loop: the master's.
        pipe: this end of a duplex multiprocessing.Pipe; owned by the link from now on.
        on_message: called for each message, in order.
        on_broken: called once, with the reason, when nothing more can come while nobody closed the link.
        rest: what an earlier link of the same pipe has left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipe: "Connection[Any, Any]",
        on_message: Callable[[FromWorker], None],
        on_broken: Callable[[str], None],
        rest: Rest = NO_REST,
    ) -> None:
        self._loop = loop
        self._pipe = pipe
        self._fd = pipe.fileno()
        self._on_message = on_message
        self._on_broken = on_broken
        self._reader = FrameReader(rest.unread)
        self._queue: deque[memoryview] = deque()
        self._queued_bytes = 0
        self._flush_scheduled = False
        self._writing = False
        self._readable = True
        self._closed = False
        #: Why nothing more that comes is understood, if it ended with something that is no message.
        self.torn: str | None = None
        os.set_blocking(self._fd, False)
        loop.add_reader(self._fd, self._read_once)
        if rest.unsent:
            self._enqueue(rest.unsent)

    @property
    def queued_bytes(self) -> int:
        """Bytes that the worker's end has no room for yet."""
        return self._queued_bytes

    def send(self, messages: Sequence[ToWorker]) -> None:
        """Queue ``messages``; they leave when this turn of the loop is over. A closed link drops them."""
        if self._closed:
            return
        self._enqueue(encode_frame(encode_messages(messages)))

    def read_now(self) -> None:
        """Read what has come until now; for whoever is about to judge by what has not."""
        while self._readable and not self._closed and self._read_once():
            pass

    def close(self) -> None:
        """Read what a dead worker left in the pipe, until that would block, and close it."""
        if self._closed:
            return
        self._on_broken = _ignore
        self.read_now()
        self._close()

    def hand_over(self) -> tuple[int, Rest]:
        """Read and write nothing more; return a file descriptor of the pipe for the next link, and the rest.

        What the worker writes from now on waits in the pipe.
        """
        rest = Rest(self._reader.pending, b"".join(self._queue))
        fd = os.dup(self._fd)
        self._close()
        return fd, rest

    def _close(self) -> None:
        self._closed = True
        self._stop_reading()
        if self._writing:
            self._loop.remove_writer(self._fd)
        self._queue.clear()
        self._queued_bytes = 0
        self._pipe.close()

    # --- in -----------------------------------------------------------------------------------

    def _read_once(self) -> bool:
        """Read one chunk; return whether there was one."""
        try:
            chunk = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._break(f"its pipe failed: {error.strerror}")
            return False
        if not chunk:
            self._break("closed its pipe to the supervisor")
            return False
        try:
            for body in self._reader.feed(chunk):
                for message in decode_from_worker(body):
                    self._on_message(message)
        except ProtocolError as error:
            self.tear(f"wrote nonsense into its pipe: {error}")
            return False
        return True

    def tear(self, reason: str) -> None:
        """Read nothing more, since it would not be understood."""
        self.torn = reason
        self._break(reason)

    def _break(self, reason: str) -> None:
        self._stop_reading()
        self._on_broken(reason)

    def _stop_reading(self) -> None:
        if self._readable:
            self._readable = False
            self._loop.remove_reader(self._fd)

    # --- out ----------------------------------------------------------------------------------

    def _enqueue(self, block: bytes) -> None:
        self._queue.append(memoryview(block))
        self._queued_bytes += len(block)
        if not self._flush_scheduled and not self._writing:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._closed:
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # the reader, or the pidfd, will tell
            while self._queue:
                if not self._write_some():
                    self._wait_writable()
                    return
        self._queue.clear()
        self._queued_bytes = 0
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)

    def _write_some(self) -> bool:
        """Write the head of the queue; return whether the pipe took anything."""
        block = self._queue.popleft()
        if self._queue and len(block) < _WRITE_BYTES:
            blocks, size = [block], len(block)
            while self._queue and size < _WRITE_BYTES:
                blocks.append(self._queue.popleft())
                size += len(blocks[-1])
            block = memoryview(b"".join(blocks))
        try:
            written = os.write(self._fd, block[:_WRITE_BYTES])
        except BlockingIOError:
            written = 0
        self._queued_bytes -= written
        if written < len(block):
            self._queue.appendleft(block[written:])
        return written > 0

    def _wait_writable(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self._flush)


def _ignore(_reason: str) -> None:
    """A closed link has nobody to tell."""
