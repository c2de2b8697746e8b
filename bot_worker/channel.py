"""The worker's end of its pipe to the master.

Before the loop runs, ``take_first`` and ``send_now`` block, each with a deadline. In a loop (asyncio's or
uvloop's, also several one after another) ``attach`` reads what arrives, and ``send`` joins the messages of
one turn of the loop into one frame; nothing blocks, what the pipe does not take waits in order. The end of
the stream means that the master is gone, and ends the process at once.

All methods belong to the thread of the loop.

Runs in: worker.
"""

import asyncio
import os
import select
import sys
from collections.abc import Callable, Sequence

from brama.clock import monotonic_s
from brama.errors import ProtocolError
from brama.exit_codes import ExitCode
from brama.frames import FrameReader, encode_frame
from brama.messages import FromWorker, ReopenLog, ToWorker, decode_to_worker, encode_messages

#: Bytes read in one system call, and calls made in one turn before the loop gets its turn again.
READ_BYTES = 64 * 1024
READS_PER_TURN = 16


class Channel:
    """One worker's connection to its master.

    ``reopen_log`` is called for each ReopenLog message, which is not handed on. ``end_process`` is what the
    end of the stream does.
    """

    def __init__(
        self,
        fd: int,
        *,
        reopen_log: Callable[[], None] = lambda: None,
        end_process: Callable[[int], None] = os._exit,
    ) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._end_process = end_process
        self._frames = FrameReader()
        self._arrived: list[ToWorker] = []
        self._pending: list[FromWorker] = []
        self._unwritten = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_messages: Callable[[list[ToWorker]], None] | None = None
        self._flush_scheduled = False
        self._writing = False
        self.reopen_log = reopen_log

    # --- without a loop ---------------------------------------------------------------------------

    def take_first(self, timeout_s: float) -> ToWorker | None:
        """Return the next message, waiting up to ``timeout_s`` seconds for it; None if none came.

        Raises:
            ProtocolError: the master sent something that is no message.
        """
        deadline = monotonic_s() + timeout_s
        while not self._arrived and self._wait(select.POLLIN, deadline):
            self._read()
        return self._arrived.pop(0) if self._arrived else None

    def send_now(self, messages: Sequence[FromWorker], timeout_s: float = 5.0) -> bool:
        """Write ``messages`` after all that was sent before; False if the pipe did not take them in time."""
        self._pending.extend(messages)
        return self.flush(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Write all that was sent, blocking up to ``timeout_s`` seconds; False if some is still unwritten."""
        deadline = monotonic_s() + timeout_s
        self._write()
        while self._unwritten and self._wait(select.POLLOUT, deadline):
            self._write()
        return not self._unwritten

    def _wait(self, event: int, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, event)
        return bool(poll.poll(max(0.0, deadline - monotonic_s()) * 1000))

    # --- in a loop --------------------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop, on_messages: Callable[[list[ToWorker]], None]) -> None:
        """Hand what arrives to ``on_messages``, in order, from ``loop`` until ``detach``.

        A loop that was attached before is left, also when it is closed by now. An exception of
        ``on_messages`` is the loop's to report; the messages of that call count as taken.
        """
        self.detach()
        self._loop, self._on_messages = loop, on_messages
        loop.add_reader(self._fd, self._readable)
        if self._arrived:
            loop.call_soon(self._hand_over)
        if self._pending or self._unwritten:
            self._schedule_flush()

    def detach(self) -> None:
        """Leave the loop; what arrives from now on waits in the pipe."""
        loop, self._loop, self._on_messages = self._loop, None, None
        self._flush_scheduled = False
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._fd)
            if self._writing:
                loop.remove_writer(self._fd)
        self._writing = False

    def send(self, message: FromWorker) -> None:
        """Write ``message`` at the end of this turn of the loop, in one frame with the turn's others.

        Without a running loop it is written at once, as far as the pipe takes it.
        """
        self._pending.append(message)
        if not self._flush_scheduled:
            self._schedule_flush()

    def push(self) -> None:
        """Write what was sent without waiting for the end of the turn, as far as the pipe takes it.

        For what must be known to the master even if the next statement ends the process.
        """
        self._write()

    def _schedule_flush(self) -> None:
        if self._loop is None or self._loop.is_closed():
            self._write()
        else:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_turn, self._loop)

    def _flush_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            self._flush_scheduled = False
            self._write()

    def _readable(self) -> None:
        try:
            self._read()
        except ProtocolError as error:  # nothing after a torn frame can be understood
            sys.stderr.write(f"brama: {error}\n")
            self._end_process(ExitCode.FAILED)
            return
        self._hand_over()

    def _hand_over(self) -> None:
        if self._arrived and self._on_messages is not None:
            messages, self._arrived = self._arrived, []
            self._on_messages(messages)

    # --- the pipe ---------------------------------------------------------------------------------

    def _read(self) -> None:
        for _ in range(READS_PER_TURN):
            try:
                chunk = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self._end_process(ExitCode.UNAVAILABLE)
                return
            for body in self._frames.feed(chunk):
                for message in decode_to_worker(body):
                    if isinstance(message, ReopenLog):
                        self.reopen_log()
                    else:
                        self._arrived.append(message)
            if len(chunk) < READ_BYTES:
                return

    def _write(self) -> None:
        if self._pending:
            messages, self._pending = self._pending, []
            self._unwritten += _encode(messages)
        try:
            while self._unwritten:
                written = os.write(self._fd, self._unwritten)
                del self._unwritten[:written]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._end_process(ExitCode.UNAVAILABLE)
            return
        self._watch_writable(bool(self._unwritten))

    def _watch_writable(self, wanted: bool) -> None:
        if self._loop is None or self._loop.is_closed() or wanted == self._writing:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._fd, self._write)
        else:
            self._loop.remove_writer(self._fd)


def _encode(messages: list[FromWorker]) -> bytes:
    """Return one frame, or one for each message where one would be too large."""
    try:
        return encode_frame(encode_messages(messages))
    except ProtocolError:
        return b"".join(encode_frame(encode_messages([message])) for message in messages)
