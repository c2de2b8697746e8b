"""Runs a Redis or Valkey of our own, for machines that have none to offer.

It listens on a unix socket only, appends its writes to a file and syncs that once a second: a power cut, or a
crash of the server while a sync is under way, loses at most the last two seconds.

Runs in: master.
"""

import asyncio
import fcntl
import hashlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from redis.asyncio import Redis
from redis.exceptions import RedisError

from brama.child_process import ChildProcess, Exit
from brama.clock import monotonic_s
from brama.config.redis_address import server_url
from brama.errors import ConfigError, StateError
from brama.log import get_logger
from jobs.linux import die_with_parent

log = get_logger(__name__)

FOLDER = "queue"
MAX_MEMORY = "256mb"
_SOCKET = "redis.sock"
#: A socket's path has 108 bytes in Linux, the last one being a zero.
_MAX_PATH_BYTES = 107
#: How long a server may take to read its file at start, and to end; seconds.
_START_S = 60.0
_STOP_S = 10.0
#: Waits before the server is started again after an unexpected end; a run of _HEALTHY_S forgets earlier ends.
_FIRST_RESTART_S = 0.5
_LONGEST_RESTART_S = 10.0
_HEALTHY_S = 60.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class LeftServer:
    """What a ``QueueServer`` hands over: its process (0: there is none), and the descriptor of its lock."""

    pid: int
    lock: int


class QueueServer:
    """A server process in a folder of its own, started again whenever it ends by itself.

    Args:
        program: redis-server or valkey-server.
        state_dir: its data goes into the folder ``queue`` in there.
        environment: variables that its process gets beside PATH.
    """

    def __init__(
        self, program: Path, state_dir: Path, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._program = program
        self._folder = state_dir.absolute() / FOLDER
        self._socket = _socket_path(self._folder)
        self._environment = environment
        #: None only while there is no process to be reaped.
        self._process: ChildProcess | None = None
        self._ended = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process, None while there is none."""
        return self._process.pid if self._process and not self._ended.is_set() else None

    async def start(self, left: LeftServer | None = None) -> None:
        """Start the server and return once it takes commands.

        Args:
            left: what another ``QueueServer`` of this process has handed over; gone on with.

        Raises:
            StateError: the folder is in use or cannot be written, or the server does not come up.
        """
        if left is not None:
            self._lock = left.lock
        try:
            for folder in (self._folder, self._socket.parent):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if (found := folder.lstat()).st_uid != os.geteuid() or found.st_mode & 0o022:
                    raise StateError(f"{folder}: is not ours alone; remove it, or set another state_dir")
        except OSError as error:
            raise StateError(f"{error.filename}: cannot be made: {error.strerror}; set state_dir") from None
        if left is None:
            await self._take_lock()
        try:
            if left is None or not self._adopt(left.pid):
                await self._launch()
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="queue-server")

    async def stop(self) -> None:
        """End the server, its file being synced, and let go of the folder."""
        await self._end_keeper()
        if self._process is not None:
            self._process.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._ended.wait(), _STOP_S)
            except TimeoutError:
                self._process.signal(signal.SIGKILL)
                await self._ended.wait()
            self._reap()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def hand_over(self) -> LeftServer:
        """Watch the server no more, which lives on; return what ``start`` needs to go on with it.

        Of one that has not started, there is nothing: the lock is -1.
        """
        await self._end_keeper()
        pid = 0
        if self._process is not None:
            pid = self._process.pid
            self._process.release()
            self._process = None
        lock, self._lock = self._lock, None
        return LeftServer(pid, -1 if lock is None else lock)

    async def _end_keeper(self) -> None:
        while self._keeper is not None and not self._keeper.done():
            self._keeper.cancel()  # again, should redis-py take it for its own time limit
            await asyncio.wait([self._keeper], timeout=_LOOK_S)

    async def _take_lock(self) -> None:
        """Take the folder's lock. Servers inherit it: one that outlives its master for a moment holds it."""
        path = self._folder / "lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = monotonic_s() + _STOP_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if monotonic_s() >= deadline:
                    os.close(fd)
                    raise StateError(
                        f"{path}: another queue server runs on this folder; stop it, or set another state_dir"
                    ) from None
            await asyncio.sleep(_LOOK_S)
        self._lock = fd

    async def _launch(self) -> None:
        assert self._lock is not None
        self._socket.unlink(missing_ok=True)
        # fmt: off
        options = (
            "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "600",
            "--dir", str(self._folder), "--logfile", str(self._folder / "server.log"), "--daemonize", "no",
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
            "--maxmemory", MAX_MEMORY, "--maxmemory-policy", "noeviction",
        )
        # fmt: on
        popen = subprocess.Popen(  # noqa: ASYNC220 - takes milliseconds
            [self._program, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath), **self._environment},
            pass_fds=(self._lock,),
            start_new_session=True,  # a Ctrl-C is for the master, which ends the server last
            preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM),
        )
        popen.returncode = 0  # reaped by its pidfd; a Popen that knows no end would warn, and wait for it
        self._watch(popen.pid)
        await self._wait_ready()
        log.info("queue.server_started", pid=popen.pid, program=str(self._program))

    def _watch(self, pid: int) -> None:
        self._ended.clear()
        self._process = ChildProcess(asyncio.get_running_loop(), pid, self._ended.set)

    def _adopt(self, pid: int) -> bool:
        """Go on with a server that runs; return whether there is one."""
        try:
            if pid:
                self._watch(pid)
        except OSError:  # it ended, and was waited for
            return False
        return bool(pid)

    def _reap(self) -> Exit:
        assert self._process is not None
        process, self._process = self._process, None
        return process.reap()

    async def _wait_ready(self) -> None:
        client = Redis.from_url(self.url)
        deadline = monotonic_s() + _START_S
        try:
            while not self._ended.is_set() and monotonic_s() < deadline:
                try:
                    await client.ping()
                except (RedisError, OSError):  # not there yet, or reading its file
                    await asyncio.sleep(_LOOK_S)
                else:
                    return
        finally:
            await client.aclose()
        raise StateError(f"jobs: {self._program} does not come up; {self._folder / 'server.log'} says why")

    async def _keep(self) -> None:
        """Start the server again each time it ends; only ``stop`` ends this."""
        wait_s = _FIRST_RESTART_S
        while True:
            started_at = monotonic_s()
            await self._ended.wait()
            if self._process is not None:  # else it could not be started the last time
                ended = self._reap()
                log.error("queue.server_exited", code=ended.code, signal=ended.signal)
            if monotonic_s() - started_at >= _HEALTHY_S:
                wait_s = _FIRST_RESTART_S
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_RESTART_S)
            try:
                await self._launch()
            except (StateError, OSError) as error:
                log.error("queue.server_not_started", error=str(error))


def locate_server(state_dir: Path, environment: Mapping[str, str]) -> str:
    """Return the URL of the server that the environment names, else of the one of this state directory.

    Raises:
        ConfigError: the environment names none that can be.
    """
    try:
        return server_url(environment) or f"unix://{_socket_path(state_dir.absolute() / FOLDER)}"
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _socket_path(folder: Path) -> Path:
    """Return the socket's path: in ``folder``, or where that is too long in a folder named by its hash."""
    path = folder / _SOCKET
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"brama-queue-{os.geteuid()}-{digest}" / _SOCKET
