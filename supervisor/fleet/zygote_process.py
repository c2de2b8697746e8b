"""Carries datagrams to and from one zygote until it is dead.

Runs in: master.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

from brama.errors import ProtocolError
from brama.log import get_logger
from brama.messages import Fork, FromZygote, decode_from_zygote, encode_message
from supervisor.fleet.zygote_start import StartedZygote

_MAX_DATAGRAM_BYTES = 65536
_LINE_BYTES = 8192

log = get_logger(__name__)


class ZygoteProcess:
    """One zygote from exec to death.

    Args:
        loop: the master's.
        started: the process.
        on_message: called for each of its messages, those it left behind when it died included.
        on_death: called once, when it is dead, reaped and heard to the end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        started: StartedZygote,
        on_message: Callable[[FromZygote], None],
        on_death: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._on_message = on_message
        self._on_death = on_death
        self._popen, self._socket = started.popen, started.control
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._output = _Lines(loop, started.output_fd)
        loop.add_reader(self._socket.fileno(), self._read_all)
        loop.add_reader(self._pidfd, self._died)
        self._hearing = True

    @property
    def pid(self) -> int:
        """Its pid, no other process's before ``on_death``."""
        return self._popen.pid

    def try_send(self, request: Fork, pipe_fd: int) -> bool:
        """Send ``request`` and the worker's end of its pipe; False: not now, or never again."""
        try:
            socket.send_fds(self._socket, [encode_message(request)], [pipe_fd])
        except OSError:  # full, or too many files on their way, or dead: its pidfd will tell
            return False
        return True

    def kill(self) -> None:
        """End it at once; ``on_death`` follows."""
        with suppress(ProcessLookupError):  # by pidfd: Popen.kill() would reap it, and its pid be anybody's
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _read_all(self) -> None:
        while self._hearing:
            try:
                datagram = self._socket.recv(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                datagram = b""
            if not datagram:
                self._stop_hearing()
                return
            try:
                self._on_message(decode_from_zygote(datagram))
            except ProtocolError as error:
                log.error("zygote.misunderstood", detail=str(error))
                self.kill()

    def _stop_hearing(self) -> None:
        """The stream is over: it is dead, or of no use and told so by the other end closing."""
        self._hearing = False
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self.kill()

    def _died(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._read_all()
        if self._hearing:
            self._stop_hearing()
        os.close(self._pidfd)
        code = self._popen.wait()
        self._output.finish()
        self._on_death(f"exit code {code}" if code >= 0 else f"signal {-code}")


class _Lines:
    """Logs what comes out of a pipe, line by line, until nobody can write to it any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._loop = loop
        self._fd = fd
        self._rest = b""
        self._open = True
        os.set_blocking(fd, False)
        loop.add_reader(fd, self._read)

    def finish(self) -> None:
        """Log what is there and close; whoever still writes does so in vain."""
        while self._open and self._read():
            pass
        self._close()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._fd, _LINE_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._close()
            return False
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._log(line)
        return True

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._log(self._rest)

    @staticmethod
    def _log(line: bytes) -> None:
        if text := line.decode(errors="replace").rstrip():
            log.warning("zygote.wrote", text=text)
