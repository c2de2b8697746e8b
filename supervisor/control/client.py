"""Talks to a running master over its unix socket.

Runs in: command line.
"""

import contextlib
import os
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from brama.errors import BramaError, ConfigError, NoMasterError, UnreachableError
from supervisor.control.policy.progress import Progress
from supervisor.control.ports import CommandResult, ReloadResult, RestartResult, Verb
from supervisor.control.status import Status, decode_status
from supervisor.control.wire import (
    CommandAnswer,
    CommandRequest,
    CountAnswer,
    ErrorAnswer,
    LetterPage,
    LetterSummary,
    LetterView,
    OrphanRequest,
    ReloadRequest,
    Selection,
    StopAnswer,
)

#: A master answers in milliseconds; one that is silent for so long hangs, or its machine does.
ANSWER_TIMEOUT_S = 10.0
#: Changes wait for the disk, and the master itself gives up after 30 s.
CHANGE_TIMEOUT_S = 35.0

T = TypeVar("T")


class RequestRefusedError(BramaError):
    """The master answered no; the text is its sentence."""


class _UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


class ControlClient:
    """Asks the master that listens at ``path``; methods raise BramaError, NoMasterError if none does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self) -> Status:
        """Return what the master says of itself and its bots."""
        return decode_status(self.status_json())

    def status_json(self) -> bytes:
        """Return the status document as the master wrote it."""
        return self._request("GET", "/api/workers/status")

    def progress(self) -> Progress:
        """Return how far the fleet has come."""
        return self.ask(Progress, "GET", "/api/progress")

    def command(self, verb: Verb, bots: Sequence[str]) -> list[CommandResult]:
        """Start, stop or restart bots; returns once the master has taken the command."""
        return self.ask(CommandAnswer, "POST", "/api/commands", CommandRequest(verb, list(bots))).results

    def reload(self, *, dry_run: bool) -> ReloadResult:
        """Have the configuration taken into use as it is now, or told what that would do.

        Raises:
            ConfigError: it is wrong; one line for each problem.
        """
        return self.ask(ReloadResult, "POST", "/api/reload", ReloadRequest(dry_run))

    def restart(self) -> RestartResult:
        """Have the master replaced by the code that is installed now; returns when it is about to be.

        Raises:
            ConfigError: the configuration is wrong; one line for each problem.
        """
        return self.ask(RestartResult, "POST", "/api/restart", {})

    def drop_orphan(self, telegram_id: int) -> int:
        """Purge what is kept of a bot that is not configured; return how many updates that were."""
        return self.ask(CountAnswer, "POST", "/api/orphans/drop", OrphanRequest(telegram_id)).count

    def stop(self) -> StopAnswer:
        """Ask the master to stop; returns at once."""
        return self.ask(StopAnswer, "POST", "/api/stop", {})

    def dead_letters(self, bot: str | None, limit: int) -> Iterator[LetterSummary]:
        """Yield at most ``limit`` dead letters, youngest first."""
        before: int | None = None
        while limit > 0:
            query = {"bot": bot, "limit": min(limit, 500), "before": before}
            encoded = urlencode({key: value for key, value in query.items() if value is not None})
            page = self.ask(LetterPage, "GET", f"/api/dead-letters?{encoded}")
            yield from page.dead_letters
            limit -= len(page.dead_letters)
            if page.next is None:
                return
            before = page.next

    def dead_letter(self, letter_id: int, *, body: bool) -> LetterView:
        """Return one dead letter, with the update itself if ``body``."""
        return self.ask(LetterView, "GET", f"/api/dead-letters/{letter_id}" + ("?body=1" if body else ""))

    def replay(self, selection: Selection) -> int:
        """Replay dead letters; return how many."""
        return self.ask(CountAnswer, "POST", "/api/dead-letters/replay", selection).count

    def drop(self, selection: Selection) -> int:
        """Delete dead letters; return how many."""
        return self.ask(CountAnswer, "POST", "/api/dead-letters/drop", selection).count

    def master_process(self) -> "MasterProcess":
        """Return a hold on the master's process, by which its end is noticed."""
        connection = _UnixConnection(self._path, ANSWER_TIMEOUT_S)
        with self._failures(), contextlib.closing(connection):
            connection.connect()
            return MasterProcess(_peer_pid(connection.sock))

    def ask(self, kind: type[T], method: str, target: str, body: Any = None) -> T:
        """Return the answer to a request as ``kind``."""
        data = self._request(method, target, b"" if body is None else msgspec.json.encode(body))
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise BramaError(
                f"the master is of another version, its answer is not understood: {error}"
            ) from error

    def _request(self, method: str, target: str, body: bytes = b"") -> bytes:
        headers = {"Content-Type": "application/json", "Connection": "close"}
        timeout_s = ANSWER_TIMEOUT_S if method == "GET" else CHANGE_TIMEOUT_S
        connection = _UnixConnection(self._path, timeout_s)
        with self._failures(), contextlib.closing(connection):
            connection.request(method, target, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
        if answer.status >= 400:
            raise _refusal(data, answer.status)
        return data

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, ConnectionError, NotADirectoryError) as error:
            raise NoMasterError("no master runs") from error
        except PermissionError as error:
            raise UnreachableError(
                f"{self._path}: the master is another user's; run the command as that user or as root"
            ) from error
        except TimeoutError as error:
            raise UnreachableError("the master does not answer; its log may say why") from error
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"{self._path}: the master cannot be reached: {error}") from error


class MasterProcess:
    """The master's process, told apart from any later one of the same pid.

    ``pid`` is 0 when this PID namespace does not show the process: only the socket tells of its end then.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = -1
        self._was_gone = False
        if pid:
            try:
                self._fd = os.pidfd_open(pid)
            except ProcessLookupError:
                self._was_gone = True

    @property
    def is_daemon(self) -> bool:
        """Whether it left the session it was started from: nobody's terminal or service manager holds it."""
        try:
            session = os.getsid(self.pid) if self.pid else 0
            os.kill(session, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    @property
    def is_visible(self) -> bool:
        """Whether the process's end can be noticed from here."""
        return self._was_gone or self._fd >= 0

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` for the process's end; return whether it is known to have ended."""
        if self._was_gone:
            return True
        watched = [self._fd] if self._fd >= 0 else []
        return bool(select.select(watched, [], [], timeout_s)[0])


def _peer_pid(connected: socket.socket) -> int:
    size = struct.calcsize("3i")
    pid, _uid, _gid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


def _refusal(data: bytes, status: int) -> BramaError:
    try:
        answer = msgspec.json.decode(data, type=ErrorAnswer)
    except msgspec.MsgspecError:
        return RequestRefusedError(f"the master answered {status}")
    return ConfigError("\n".join(answer.problems)) if answer.problems else RequestRefusedError(answer.error)
