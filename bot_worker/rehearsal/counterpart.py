"""A process that plays Telegram and the master for a bot that the zygote runs to get warm.

It is a process and not a thread, since a zygote must have a single thread, and its memory goes when it ends.

Runs in: a child of the zygote, while that warms up.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from bot_worker import linux
from bot_worker.rehearsal.stub_api import stub_api
from bot_worker.rehearsal.updates import updates
from brama.errors import ZygoteError
from brama.exit_codes import ExitCode
from brama.frames import FrameReader, encode_frame
from brama.messages import (
    BootFailed,
    Deliver,
    Drain,
    Failed,
    Processed,
    Ready,
    ToWorker,
    decode_from_worker,
    encode_messages,
)

#: A rehearsal takes a few hundred milliseconds; one that hangs must not hang the start of the fleet.
LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a bot can be rehearsed: the worker's end of its pipe, the Bot API's base URL."""

    pipe_fd: int
    base_url: str


@contextmanager
def counterpart(rounds: int) -> Iterator[Stage]:
    """Fork the counterpart of one bot, which is sent each kind of update ``rounds`` times and then drained.

    Raises:
        OSError: no port of 127.0.0.1 can be had, or no process.
        ZygoteError: the bot did not process them all.
    """
    pipe, far_pipe = socket.socketpair()
    address, far_address = socket.socketpair()
    with pipe, address:
        with far_pipe, far_address:
            pid = os.fork()
            if pid == 0:
                pipe.close()
                address.close()
                _be_counterpart(far_pipe, far_address, rounds)
        try:
            base_url = address.recv(200).decode()
            if not base_url.startswith("http"):
                raise OSError(base_url or "the other end died")
            yield Stage(pipe.fileno(), base_url)
        finally:
            pipe.close()
            _, status = os.waitpid(pid, 0)
        if (code := os.waitstatus_to_exitcode(status)) != 0:
            report = address.recv(2000).decode(errors="replace")
            raise ZygoteError(
                f"a bot does not run in the zygote: {report or f'its counterpart ended: {code}'}"
            )


def _be_counterpart(pipe: socket.socket, address: socket.socket, rounds: int) -> None:
    code = ExitCode.FAILED
    try:
        linux.set_parent_death_signal(signal.SIGKILL)
        gc.freeze()
        code = asyncio.run(_play(pipe, address, rounds))
    except BaseException as error:
        with suppress(OSError):
            address.send(" ".join(_words(error).split()).encode()[:2000])
    finally:
        os._exit(code)


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"it was not through after {LIMIT_S:g} s"
    return f"{type(error).__name__}: {error}"


async def _play(pipe: socket.socket, address: socket.socket, rounds: int) -> ExitCode:
    async with asyncio.timeout(LIMIT_S):
        try:
            async with stub_api() as base_url:
                address.send(base_url.encode())
                await _be_master(pipe, rounds)
        except OSError as error:
            address.send(f"127.0.0.1: {error}".encode())
    return ExitCode.OK


async def _be_master(pipe: socket.socket, rounds: int) -> None:
    reader, writer = await asyncio.open_connection(sock=pipe)
    frames = FrameReader()
    due: set[int] = set()

    def send(*messages: ToWorker) -> None:
        writer.write(encode_frame(encode_messages(messages)))

    def next_round() -> None:
        nonlocal rounds
        if rounds == 0:
            send(Drain())
            return
        batch = [Deliver(update_id, update_id, raw) for update_id, raw in updates(rounds)]
        due.update(update.seq for update in batch)
        send(*batch)
        rounds -= 1

    while chunk := await reader.read(1 << 16):
        for body in frames.feed(chunk):
            for message in decode_from_worker(body):
                match message:
                    case Ready():
                        next_round()
                    case Processed(seqs):
                        due.difference_update(seqs)
                        if not due:
                            next_round()
                    case Failed(error=error, detail=detail) | BootFailed(cause=error, detail=detail):
                        raise ZygoteError(f"{error}: {detail}")
                    case _:
                        pass
    if rounds or due:
        raise ZygoteError(f"it ended with {len(due)} updates and {rounds} rounds to go")
