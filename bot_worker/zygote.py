"""The process that workers are forked from: warm, frozen, with one thread and without a secret.

Started by the master as ``python -P -m bot_worker FD``, where FD is its end of a SOCK_SEQPACKET socket
pair. It answers Warm or Refused once, then Forked or ForkFailed to each Fork, and ends when the master closes
the other end. Its configuration is JSON in the variable BRAMA_ZYGOTE:
``{"preload": ["numpy", …], "project_root": "/srv/bots"}``.

Runs in: zygote.
"""

import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import setproctitle

from bot_worker import compaction, linux, tls
from bot_worker.child import Run, become_worker
from bot_worker.double_fork import Become, fork_for_parent
from bot_worker.preload import preload
from bot_worker.runtime import patches
from bot_worker.runtime.main import run as run_bot
from bot_worker.warm_up import SCOUTING_ROUNDS, warm_up
from brama.clock import monotonic_s
from brama.errors import ProtocolError, ZygoteError
from brama.exit_codes import ExitCode
from brama.marks import ZYGOTE_TITLE
from brama.messages import Fork, Forked, ForkFailed, Refused, Warm, decode_to_zygote, encode_message

#: The variable that holds the zygote's configuration.
CONFIGURATION_VARIABLE = "BRAMA_ZYGOTE"

#: A datagram holds one Fork.
MAX_DATAGRAM_BYTES = 4096

#: Requests that are answered together; the first waits for the last, some 2 ms for each.
MAX_BATCH = 16

_FD = struct.Struct("=i")


class Configuration(msgspec.Struct, frozen=True):
    """What the master lets the zygote know: nothing of any one bot."""

    project_root: str = "/"
    preload: list[str] = []


def serve(control: socket.socket, run: Run) -> None:
    """Fork a worker for each request on ``control`` until its other end is closed; workers never return."""
    master_pid = os.getppid()
    while requests := _receive(control):
        pipe_fds = [pipe_fd for _, pipe_fd in requests]
        becomes = [_become(pipe_fd, pipe_fds, control, master_pid, run) for pipe_fd in pipe_fds]
        outcomes = fork_for_parent(becomes)
        for (request, pipe_fd), outcome in zip(requests, outcomes, strict=True):
            os.close(pipe_fd)
            control.send(encode_message(_answer(request, outcome)))


def _receive(control: socket.socket) -> list[tuple[Fork, int]]:
    """Wait for a request, take what else is waiting up to MAX_BATCH; [] at the end of the stream."""
    requests: list[tuple[Fork, int]] = []
    flags = socket.MSG_CMSG_CLOEXEC
    while len(requests) < MAX_BATCH:
        try:
            datagram, ancillary, _, _ = control.recvmsg(
                MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(_FD.size), flags
            )  # socket.recv_fds ignores its flags before Python 3.12
        except BlockingIOError:
            break
        if not datagram:
            return []
        if not ancillary:
            raise ProtocolError("a request came without a pipe")
        requests.append((decode_to_zygote(datagram), *_FD.unpack_from(ancillary[0][2])))
        flags |= socket.MSG_DONTWAIT
    return requests


def _become(
    pipe_fd: int, pipe_fds: Sequence[int], control: socket.socket, master_pid: int, run: Run
) -> Become:
    def become(handshake: socket.socket) -> None:
        control.close()
        for fd in pipe_fds:
            if fd != pipe_fd:
                os.close(fd)
        become_worker(pipe_fd, handshake, master_pid, run)

    return become


def _answer(request: Fork, outcome: int | str) -> Forked | ForkFailed:
    if isinstance(outcome, int):
        return Forked(request.bot_id, request.generation, outcome)
    return ForkFailed(request.bot_id, request.generation, outcome)


def get_warm(configuration: Configuration) -> Warm:
    """Load and exercise all that workers share, then freeze it; return what that cost.

    Raises:
        ZygoteError: the configuration cannot be used.
    """
    started_at = monotonic_s()
    gc.disable()
    tls.share_context()
    patches.install()
    preload(configuration.preload, configuration.project_root)
    with compaction.called_code() as called:
        warm_up(run_bot, SCOUTING_ROUNDS)
    gc.collect()
    compaction.fill_holes()
    compaction.gather(called)
    called.clear()
    patches.bind(None)
    warm_up(run_bot)
    patches.bind(None)
    reset_signals()
    gc.collect()
    compaction.fill_holes()
    linux.trim_malloc()
    gc.freeze()
    return Warm(os.getpid(), linux.rss_anon_bytes(), linux.data_bytes(), (monotonic_s() - started_at) * 1000)


def become_zygote() -> None:
    """Set this process up: own session, dying with the master, named, sparing with memory."""
    linux.set_parent_death_signal(signal.SIGKILL)
    with suppress(PermissionError):  # the master has given it a session
        os.setsid()
    reset_signals()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    setproctitle.setproctitle(ZYGOTE_TITLE)
    linux.disable_huge_pages()
    linux.limit_malloc_arenas(2)


def reset_signals() -> None:
    """Have every signal as a fresh interpreter has it, none blocked, for workers; Ctrl-C is the master's."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(arguments: Sequence[str], run: Run = run_bot) -> int:
    """Be the zygote on the file descriptor that ``arguments`` name; return the exit code."""
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    configuration = msgspec.json.decode(os.environ.pop(CONFIGURATION_VARIABLE, "{}"), type=Configuration)
    become_zygote()
    try:
        control.send(encode_message(get_warm(configuration)))
    except ZygoteError as error:
        control.send(encode_message(Refused(str(error))))
        return ExitCode.CONFIG
    try:
        serve(control, run)
    except ProtocolError as error:
        sys.stderr.write(f"brama: zygote: {error}\n")
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
