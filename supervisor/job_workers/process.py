"""One job worker's process and the pipe to it.

Runs in: master.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from brama.child_process import ChildProcess, Exit
from brama.errors import ProtocolError
from brama.frames import FrameReader, encode_frame
from brama.ids import BotId, Generation
from brama.job_messages import FromJobWorker, Terms, decode_from_job_worker, encode_job_message
from brama.marks import MARKER_VARIABLE, Marker
from supervisor.fleet.linux import kill_exactly, read_descendants, read_rss_anon_bytes, read_stat
from supervisor.fleet.strays import Dead, Strays, look_around

#: The module of a worker; named, never imported.
WORKER_MODULE = "jobs.supervised"
_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Command:
    """How a worker is executed.

    Args:
        environment: its whole environment.
        folder: its working directory.
        terms: the JSON document that it is sent first.
    """

    environment: Mapping[str, str]
    folder: Path
    terms: bytes


class JobProcess:
    """A worker from its exec, or from its adoption, until nothing of it is left.

    Args:
        loop: the master's.
        pid: of a child of this process.
        pipe: the master's end, owned from now on.
        name: what whatever it executes carries in its environment's marker.
        strays: ends what it leaves behind.
        on_message: called for each message.
        on_exit: called once, when nothing of it is left.
        unread: bytes of a message that has not come whole.
        seen: descendants it was seen with, as (pid, started_ticks).

    Raises:
        OSError: the process cannot be watched; it and the pipe are done with.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pid: int,
        pipe: "Connection[Any, Any]",
        name: BotId,
        strays: Strays,
        on_message: Callable[[FromJobWorker], None],
        on_exit: Callable[[Exit], None],
        unread: bytes = b"",
        seen: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        try:
            self._process = ChildProcess(loop, pid, self._ended)
        except OSError:
            pipe.close()
            if (stat := read_stat(pid)) is not None and stat.parent == os.getpid():
                kill_exactly(stat)
            raise
        self._loop = loop
        self._pipe = pipe
        self._name = name
        self._strays = strays
        self._seen = seen
        self._on_message = on_message
        self._on_exit = on_exit
        self._reader = FrameReader(unread)
        self._is_heard = True
        os.set_blocking(pipe.fileno(), False)
        self.signal = self._process.signal
        loop.add_reader(pipe.fileno(), self._read)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def seen(self) -> frozenset[tuple[int, int]]:
        """Descendants it was seen with that may still live, as (pid, started_ticks)."""
        return self._seen

    def look_around(self) -> None:
        """Note its descendants."""
        self._seen = look_around(self.pid, self._seen)

    def kill(self) -> None:
        """SIGKILL the process and its group."""
        self.look_around()
        self._process.kill_group()

    def memory_bytes(self) -> int:
        """Return the private memory of the process and all it has started."""
        pids = [self.pid, *(stat.pid for stat in read_descendants(self.pid))]
        return sum(read_rss_anon_bytes(pid) or 0 for pid in pids)

    def hand_over(self) -> tuple[int, bytes]:
        """Let go of the process, which lives on; return a descriptor of the pipe, and what is unread."""
        unread, fd = self._reader.pending, os.dup(self._pipe.fileno())
        self._hear_no_more()
        self._process.release()
        return fd, unread

    def _read(self) -> bool:
        try:
            chunk = os.read(self._pipe.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        try:
            for body in self._reader.feed(chunk):
                self._on_message(decode_from_job_worker(body))
        except ProtocolError:  # it is silent from now on, and so counts as hung
            chunk = b""
        if not chunk:
            self._hear_no_more()
        return bool(chunk)

    def _hear_no_more(self) -> None:
        if self._is_heard:
            self._is_heard = False
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _ended(self) -> None:
        while self._is_heard and self._read():
            pass
        self._hear_no_more()
        self._process.kill_group()
        exited = self._process.reap()
        self._strays.end(Dead(self._name, self.pid, self._seen), lambda: self._on_exit(exited))


def execute(command: Command, instance: str, name: BotId) -> tuple[int, "Connection[Any, Any]"]:
    """Execute a worker that finds its terms in its pipe; return its pid and the master's end.

    Raises:
        OSError: it cannot be executed.
    """
    ours, theirs = _pipe()
    try:
        os.set_blocking(ours.fileno(), False)
        block = encode_frame(encode_job_message(Terms(command.terms)))
        if os.write(ours.fileno(), block) < len(block):
            raise OSError(f"the terms of {len(block)} bytes do not fit into its pipe")
        # -P: nothing in the working directory may pass for one of our modules.
        popen = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER_MODULE, str(theirs.fileno()), str(os.getpid())],
            env={**command.environment, MARKER_VARIABLE: str(Marker(instance, name, Generation(0)))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            cwd=command.folder,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    popen.returncode = 0  # reaped by its pidfd; a Popen that knows no end would warn, and wait for it
    return popen.pid, ours


def _pipe() -> "tuple[Connection[Any, Any], Connection[Any, Any]]":
    from multiprocessing import Pipe

    return Pipe()
