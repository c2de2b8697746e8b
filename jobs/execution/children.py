"""Child processes for ``def`` handlers, kept warm between jobs.

A handler that blocks would keep the event loop from renewing locks, and the job would be run twice; one that
takes too long can be ended in no other way than with its process.

Runs in: job worker.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from brama.frames import FrameReader, encode_frame
from brama.redaction import registered_secrets
from jobs.context import LogLine, Progress, Report
from jobs.engine.port import TakenJob
from jobs.execution.attempt import Ending, Returned
from jobs.linux import die_with_parent
from jobs.policy.verdict import Cause, Failure

_CHUNK_BYTES = 65536

#: Returns when a call that is limited may be made.
Wait = Callable[[str | None], Awaitable[None]]


class Children:
    """Processes that run one handler each at a time; as many as there were jobs at once.

    Args:
        modules: where the types are.
        log_path: what handlers print goes there; None: to where this process prints.
    """

    def __init__(self, modules: Sequence[str], log_path: Path | None = None) -> None:
        self._modules = modules
        self._log_path = None if log_path is None else str(log_path)
        self._folder = os.getcwd()
        self._idle: list[_Child] = []

    async def run(self, job: TakenJob, report: Callable[[Report], None], wait: Wait) -> Ending:
        """Run the handler of ``job``; if this is cancelled the handler's process group is killed."""
        child = self._idle.pop() if self._idle else await self._start()
        try:
            ending = await child.run(job, report, wait)
        except BaseException:
            child.kill()
            raise
        if ending is None:
            code = await child.wait()
            return Failure(Cause.ERROR, f"the handler's process ended ({_name_of(code)})")
        if child.is_idle:
            self._idle.append(child)
        else:
            child.kill()
        return ending

    async def _start(self) -> "_Child":
        child = await _Child.start(self._modules, self._folder)
        child.say({"log": self._log_path, "secrets": sorted(registered_secrets())})
        return child

    async def close(self) -> None:
        """End the idle ones."""
        children, self._idle = self._idle, []
        for child in children:
            child.kill()
        for child in children:
            await child.wait()


class _Child:
    """One process and the socket to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._turns: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether the handler, once it has ended, has left no thread behind that waits for its turn."""
        return not self._turns

    @classmethod
    async def start(cls, modules: Sequence[str], folder: str) -> "_Child":
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                # -P: nothing in the working directory may pass for one of our modules.
                sys.executable, "-P", "-m", "jobs.execution.child", str(theirs.fileno()), *modules,
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # so that whatever the handler starts can be ended with it
                preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGKILL),
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, *await asyncio.open_connection(sock=ours))

    async def run(self, job: TakenJob, report: Callable[[Report], None], wait: Wait) -> Ending | None:
        """Return how the handler ended, None if its process did."""
        order = {name: getattr(job, name) for name in ("queue", "name", "job_id", "attempt", "data")}
        with suppress(OSError):  # it is gone; the end of what it said comes next
            self.say(order)
            await self._writer.drain()
        while chunk := await self._read():
            for frame in self._frames.feed(chunk):
                match json.loads(frame):
                    case {"progress": value}:
                        report(Progress(value))
                    case {"log": text}:
                        report(LogLine(text))
                    case {"turn": key}:
                        turn = asyncio.create_task(self._give_turn(key, wait))
                        self._turns.add(turn)
                        turn.add_done_callback(self._turns.discard)
                    case {"failure": fields}:
                        return Failure(**fields | {"cause": Cause(fields["cause"])})
                    case {"result": result}:
                        return Returned(result)
        self.kill()
        return None

    def kill(self) -> None:
        """End the process and whatever it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._writer.close()
        for turn in self._turns:
            turn.cancel()

    async def wait(self) -> int:
        """Return the exit code, negative for a signal, once the process has ended."""
        return await self._process.wait()

    async def _give_turn(self, key: str | None, wait: Wait) -> None:
        try:
            await wait(key)
        except Exception as error:  # the handler's to know
            self.say({"refused": str(error)})
        else:
            self.say({"turn": key})

    def say(self, words: dict[str, Any]) -> None:
        """Tell it something."""
        self._writer.write(encode_frame(json.dumps(words).encode()))

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_CHUNK_BYTES)
        except OSError:
            return b""


def _name_of(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
