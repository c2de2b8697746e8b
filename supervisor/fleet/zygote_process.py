"""Starts one zygote and carries datagrams to and from it until it is dead.

Runs in: master.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

import brama
from brama.errors import ProtocolError
from brama.log import get_logger
from brama.messages import Fork, FromZygote, decode_from_zygote, encode_message

#: The module of the zygote; named, never imported: the master runs no bot code.
ZYGOTE_MODULE = "bot_worker"
#: The variable that holds the zygote's configuration as JSON.
CONFIGURATION_VARIABLE = "BRAMA_ZYGOTE"

#: What the zygote may know of the master's environment. Nothing here holds a secret.
_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TZDIR|TMPDIR|TMP|TEMP|LD_LIBRARY_PATH|LD_PRELOAD|"
    r"MALLOC_[A-Z_]+|SSL_CERT_FILE|SSL_CERT_DIR|OPENSSL_CONF|VIRTUAL_ENV|PYTHON[A-Z0-9_]*"
)
_MAX_DATAGRAM_BYTES = 65536
_LINE_BYTES = 8192

log = get_logger(__name__)


def zygote_environment(
    environ: Mapping[str, str], preload: Sequence[str], project_root: Path
) -> dict[str, str]:
    """Return the zygote's whole environment."""
    allowed = {name: value for name, value in environ.items() if _ALLOWED.fullmatch(name)}
    if path := _search_path(allowed.get("PYTHONPATH")):
        allowed["PYTHONPATH"] = path
    configuration = {"preload": list(preload), "project_root": str(project_root)}
    return {**allowed, CONFIGURATION_VARIABLE: msgspec.json.encode(configuration).decode()}


def _search_path(inherited: str | None) -> str | None:
    """Return PYTHONPATH such that the zygote finds this very installation, a bare source folder included."""
    home = str(Path(brama.__file__).resolve().parents[1])
    entries = inherited.split(os.pathsep) if inherited else []
    if home not in (*entries, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        entries.insert(0, home)
    return os.pathsep.join(entries) or None


class ZygoteProcess:
    """One zygote from exec to death.

    Args:
        loop: the master's.
        environment: its whole environment.
        module: what ``python -m`` runs.
        on_message: called for each of its messages, those it left behind when it died included.
        on_death: called once, when it is dead, reaped and heard to the end.

    Raises:
        OSError: it cannot be executed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        environment: Mapping[str, str],
        module: str,
        on_message: Callable[[FromZygote], None],
        on_death: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._on_message = on_message
        self._on_death = on_death
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        output, theirs_output = os.pipe()
        try:
            # -P: nothing in the working directory may pass for one of our modules.
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=theirs_output,
                stderr=theirs_output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                cwd="/",
            )
        except OSError:
            self._socket.close()
            os.close(output)
            raise
        finally:
            theirs.close()
            os.close(theirs_output)
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._output = _Lines(loop, output)
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
