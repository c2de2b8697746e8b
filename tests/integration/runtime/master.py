"""The master's side of one worker's pipe, for tests: sends updates, waits for what the worker says."""

import json
import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from brama.clock import monotonic_s
from brama.frames import FrameReader, encode_frame
from brama.messages import (
    PROTOCOL_VERSION,
    Begun,
    Boot,
    BootFailed,
    Deliver,
    Drain,
    Failed,
    FromWorker,
    Notice,
    Processed,
    Ready,
    Released,
    Returned,
    ToWorker,
    decode_from_worker,
    encode_messages,
)
from tests.waiting import PAUSE_S, wait_until

M = TypeVar("M")

TIMEOUT_S = 30.0
BOT = {"id": 1001, "is_bot": True, "first_name": "Zoo", "username": "zoo_bot"}


class Nursery:
    """Asks the nursery process for workers."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def fork(self, fd: int) -> int:
        """Return the pid of a new worker on pipe ``fd``."""
        socket.send_fds(self._control, [b"fork"], [fd])
        return int(self._control.recv(100))

    def exit_code(self, pid: int) -> int | None:
        """Return the exit code of a worker, None while it runs."""
        self._control.send(f"wait {pid}".encode())
        answer = self._control.recv(100)
        return None if answer == b"running" else int(answer)


def message(update_id: int, text: str = "hello", chat_id: int = 10, **more: Any) -> bytes:
    """Return the JSON of an update with a text message."""
    chat = {"id": chat_id, "type": "private", "first_name": "Ann"}
    user = {"id": chat_id, "is_bot": False, "first_name": "Ann"}
    body: dict[str, Any] = {
        "message_id": update_id,
        "date": 1_700_000_000,
        "chat": chat,
        "from": user,
        "text": text,
    }
    if text.startswith("/"):
        body["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
    return json.dumps({"update_id": update_id, "message": body | more}).encode()


class Master:
    """One worker and all it has said."""

    def __init__(self, nursery: Nursery, boot: Boot) -> None:
        self.nursery = nursery
        self.boot = boot
        self.said: list[FromWorker] = []
        self.code: int | None = None
        self._frames = FrameReader()
        self._at_end = False
        self._seq = 0
        self._delivered: dict[int, Deliver] = {}
        self._knows_of_retry = False
        ours, theirs = socket.socketpair()
        self._socket = ours
        self.pid = nursery.fork(theirs.fileno())
        theirs.close()
        self.send(boot)

    # --- towards the worker -------------------------------------------------------------------------

    def send(self, *messages: ToWorker) -> None:
        """Send one frame."""
        self._socket.sendall(encode_frame(encode_messages(messages)))

    def deliver(self, *raws: bytes) -> list[int]:
        """Deliver updates in one frame; return their row numbers, which count from 1."""
        seqs = range(self._seq + 1, self._seq + 1 + len(raws))
        self._seq += len(raws)
        delivered = [Deliver(seq, seq, raw) for seq, raw in zip(seqs, raws, strict=True)]
        self._delivered |= {message.seq: message for message in delivered}
        self.send(*delivered)
        return list(seqs)

    def say(self, text: str, **more: Any) -> int:
        """Deliver a text message; return its row number, which is its update_id too."""
        return self.deliver(message(self._seq + 1, text, **more))[0]

    def drain(self) -> int:
        """Drain the worker; return its exit code."""
        self.send(Drain())
        return self.wait_exit()

    # --- from the worker ----------------------------------------------------------------------------

    def wait(self, predicate: Callable[[], Any], what: str = "") -> Any:
        """Read until ``predicate``, which may look at anything, returns something true; return that."""
        deadline = monotonic_s() + TIMEOUT_S
        while not (value := predicate()):
            over = self._at_end or monotonic_s() >= deadline
            assert not over, f"in vain for {what or predicate}; it said {self.said}; log:\n{self.log}"
            self._read(PAUSE_S)
        return value

    def _read(self, timeout_s: float) -> None:
        readable, _, _ = select.select([self._socket], [], [], timeout_s)
        if readable:
            try:
                chunk = self._socket.recv(65536)
            except ConnectionResetError:
                chunk = b""
            self._at_end = not chunk
            for body in self._frames.feed(chunk):
                for said in decode_from_worker(body):
                    self.said.append(said)
                    self._deliver_again(said)

    def _deliver_again(self, said: FromWorker) -> None:
        """Hand over once more what came back for the sake of a retry."""
        if isinstance(said, Failed):
            self._knows_of_retry |= said.retry_after_s is not None or said.before_send
        elif isinstance(said, Returned) and self._knows_of_retry:
            self.send(*(self._delivered.pop(seq) for seq in said.seqs if seq in self._delivered))

    def all_said(self, kind: type[M]) -> list[M]:
        """Return the messages of one kind so far."""
        return [each for each in self.said if isinstance(each, kind)]

    def wait_said(self, kind: type[M], count: int = 1) -> M:
        """Wait for the ``count``-th message of one kind; return it."""
        self.wait(lambda: len(self.all_said(kind)) >= count, f"{kind.__name__} number {count}")
        return self.all_said(kind)[count - 1]

    def wait_ready(self) -> Ready:
        """Wait until the worker is ready."""
        return self.wait_said(Ready)

    def seqs(self, kind: type[Begun] | type[Released] | type[Processed] | type[Returned]) -> list[int]:
        """Return the row numbers in all messages of one kind, in order."""
        return [seq for each in self.all_said(kind) for seq in each.seqs]

    def wait_processed(self, *seqs: int) -> None:
        """Wait until these rows are acknowledged."""
        self.wait(lambda: set(seqs) <= set(self.seqs(Processed)), f"Processed {seqs}")

    def wait_failed(self, seq: int) -> Failed:
        """Wait until this row has failed."""

        def find() -> Failed | None:
            return next((each for each in self.all_said(Failed) if each.seq == seq), None)

        found: Failed = self.wait(find, f"Failed {seq}")
        return found

    def notice(self, code: str) -> str:
        """Return the text of a notice that was said, and said once."""
        (text,) = [each.text for each in self.all_said(Notice) if each.code == code]
        return text

    def wait_boot_failed(self) -> tuple[BootFailed, int]:
        """Wait until the worker has given up; return why, and its exit code."""
        failure = self.wait_said(BootFailed)
        return failure, self.wait_exit()

    def wait_exit(self) -> int:
        """Read the pipe to its end; return the exit code."""
        self.wait(lambda: self._at_end, "end of the pipe")
        return self.wait_gone()

    def hang_up(self) -> None:
        """Close the pipe, as a dying master does."""
        self._socket.close()

    def wait_gone(self) -> int:
        """Wait for the end of the process; return its exit code."""
        wait_until(self._ended, TIMEOUT_S, "exit")
        assert self.code is not None
        return self.code

    def _ended(self) -> bool:
        if self.code is None:
            self.code = self.nursery.exit_code(self.pid)
        return self.code is not None

    @property
    def log(self) -> str:
        """What the worker printed."""
        path = Path(self.boot.log_path)
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """End the worker if it has not ended."""
        if self.code is None and not self._ended():
            os.kill(self.pid, signal.SIGKILL)
            wait_until(self._ended, TIMEOUT_S, "exit after SIGKILL")
        self._socket.close()


def boot(folder: Path, base_url: str, token: str, **changes: Any) -> Boot:
    """Return a Boot for a script in ``folder``."""
    values: dict[str, Any] = {
        "protocol": PROTOCOL_VERSION,
        "bot_id": "zoo",
        "generation": 1,
        "master_pid": os.getpid(),
        "token": token,
        "base_url": base_url,
        "identity": json.dumps(BOT).encode(),
        "kind": "script",
        "entry": "bot.py",
        "args": [],
        "cwd": str(folder),
        "project_root": str(folder),
        "environment": {"PATH": os.environ["PATH"]},
        "settings": {},
        "log_path": str(folder / "worker.log"),
        "log_max_bytes": 1 << 20,
        "marker": "test",
        "heartbeat_interval_s": 30.0,
        "memory_cap_bytes": 1 << 30,
    }
    return Boot(**values | changes)
