"""A master for tests of the zygote: starts one, has workers forked, talks to them, reaps them."""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from bot_worker import linux
from brama.frames import FrameReader, encode_frame
from brama.messages import (
    PROTOCOL_VERSION,
    Boot,
    BootFailed,
    Deliver,
    Drain,
    Fork,
    Forked,
    FromWorker,
    FromZygote,
    Hello,
    Notice,
    ToWorker,
    decode_from_worker,
    decode_from_zygote,
    encode_message,
    encode_messages,
)

REPOSITORY = Path(__file__).parents[2]
PROBE = "tests.integration.zygote_probe"
LIMIT_S = 60.0
INSTANCE = "0123456789abcdef"


class WorkerError(Exception):
    """The worker answered with an exception; the text is its name and text."""


class Worker:
    """One forked worker as its master sees it."""

    def __init__(self, pid: int, pipe: Any) -> None:
        self.pid = pid
        self.pipe = pipe
        self._frames = FrameReader()
        self._arrived: list[FromWorker] = []
        self._seq = 0

    def send(self, *messages: ToWorker) -> None:
        """Write one frame."""
        self.send_bytes(encode_frame(encode_messages(messages)))

    def send_bytes(self, data: bytes) -> None:
        """Write ``data`` as it is."""
        while data:
            data = data[os.write(self.pipe.fileno(), data) :]

    def receive(self) -> FromWorker:
        """Return the next message."""
        while not self._arrived:
            assert select.select([self.pipe], [], [], LIMIT_S)[0], "the worker says nothing"
            chunk = os.read(self.pipe.fileno(), 1 << 16)
            if not chunk:
                raise EOFError
            for body in self._frames.feed(chunk):
                self._arrived += decode_from_worker(body)
        return self._arrived.pop(0)

    def ask(self, python: str) -> Any:
        """Return the value of the last line of ``python``, evaluated in the worker."""
        self.tell(python)
        answer = self.receive()
        assert isinstance(answer, Notice)
        if answer.code == "error":
            raise WorkerError(answer.text)
        return json.loads(answer.text)

    def tell(self, python: str) -> None:
        """Have ``python`` evaluated."""
        self._seq += 1
        self.send(Deliver(self._seq, self._seq, python.encode()))

    def exit_code(self) -> int:
        """Wait for the end and return the exit code, negative for a signal."""
        fd = os.pidfd_open(self.pid)
        try:
            assert select.select([fd], [], [], LIMIT_S)[0], "the worker does not end"
        finally:
            os.close(fd)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def drain(self) -> int:
        """End it and return the exit code."""
        self.send(Drain())
        return self.exit_code()

    def close(self) -> None:
        """Kill and reap it if it lives."""
        self.pipe.close()
        if self.pid:
            os.kill(self.pid, 9)
            self.exit_code()


class Master:
    """One zygote and its workers; this process becomes their parent until ``close``."""

    alive = 0

    def __init__(
        self,
        folder: Path,
        *,
        module: str = PROBE,
        preload: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        Master.alive += 1
        linux.set_subreaper(True)
        self.folder = folder
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(LIMIT_S)
        inherited = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(REPOSITORY),
                    "BRAMA_ZYGOTE": json.dumps({"preload": list(preload), "project_root": str(folder)}),
                    **inherited,
                    **(environment or {}),
                },
            )
        self.workers: list[Worker] = []
        self.first = self.hear()

    def hear(self) -> FromZygote:
        """Return the zygote's next message."""
        return decode_from_zygote(self.socket.recv(1 << 16))

    def request(self, bot_id: str, pipe_fd: int) -> None:
        """Ask for a worker."""
        socket.send_fds(self.socket, [encode_message(Fork(bot_id, 1))], [pipe_fd])

    def fork(self, bot_id: str = "shop") -> Worker:
        """Have a worker made; it waits for its Boot."""
        pipe, far = Pipe()
        self.request(bot_id, far.fileno())
        far.close()
        answer = self.hear()
        assert isinstance(answer, Forked), answer
        worker = Worker(answer.pid, pipe)
        self.workers.append(worker)
        return worker

    def fork_batch(self, count: int) -> list[Worker]:
        """Have ``count`` workers made, all asked for before the first answer is read."""
        pipes = [Pipe() for _ in range(count)]
        for number, (_, far) in enumerate(pipes):
            self.request(f"bot{number}", far.fileno())
            far.close()
        answers = [self.hear() for _ in pipes]
        assert all(isinstance(answer, Forked) for answer in answers), answers
        made = [Worker(answer.pid, pipe) for answer, (pipe, _) in zip(answers, pipes, strict=True)]  # type: ignore[union-attr]
        self.workers += made
        return made

    def boot(self, bot_id: str = "shop", **fields: Any) -> Boot:
        """Return a Boot; its log is in this master's folder."""
        values = {
            "protocol": PROTOCOL_VERSION,
            "bot_id": bot_id,
            "generation": 1,
            "master_pid": os.getpid(),
            "token": token_of(bot_id),
            "base_url": "http://127.0.0.1:1/bot",
            "identity": b"{}",
            "kind": "script",
            "entry": "",
            "args": [],
            "cwd": str(self.folder),
            "project_root": str(self.folder),
            "environment": {"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            "settings": {},
            "log_path": str(self.log_path(bot_id)),
            "log_max_bytes": 0,
            "marker": f"{INSTANCE}/{bot_id}/1",
            "heartbeat_interval_s": 30.0,
            "memory_cap_bytes": 0,
        }
        return Boot(**{**values, **fields})

    def start(self, bot_id: str = "shop", **fields: Any) -> Worker:
        """Have a worker made and booted."""
        worker = self.fork(bot_id)
        worker.send(self.boot(bot_id, **fields))
        hello = worker.receive()
        assert isinstance(hello, Hello), hello
        return worker

    def refusal(self, **fields: Any) -> tuple[str, int]:
        """Have a worker booted that cannot; return what it says and its exit code."""
        worker = self.fork()
        worker.send(self.boot(**fields))
        said = worker.receive()
        assert isinstance(said, BootFailed), said
        assert said.cause == "config"
        return said.detail, worker.exit_code()

    def log_path(self, bot_id: str = "shop") -> Path:
        """Return where a bot logs."""
        return self.folder / f"worker_{bot_id}.log"

    def close(self) -> None:
        """End the workers, then the zygote."""
        for worker in self.workers:
            worker.close()
        self.socket.close()
        try:
            self.process.communicate(timeout=LIMIT_S)
        finally:
            self.process.kill()
            Master.alive -= 1
            linux.set_subreaper(Master.alive > 0)


def token_of(bot_id: str) -> str:
    """Return a made-up token of a bot."""
    return f"{1000 + sum(bot_id.encode())}:AA{'testtoken' * 3}{bot_id}"
