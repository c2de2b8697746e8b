"""Makes processes whose parent is the caller's own parent.

The caller forks an intermediate, which forks the workers and ends; the kernel then gives them to the nearest
subreaper above, the master. A worker waits until that has happened: it must not look at its parent before. No
step sleeps. One intermediate serves all requests that are waiting, since it costs as much as a worker.

    zygote ──fork──▶ intermediate ──fork──▶ workers
      │                   │ "they are N, M"    │ each waits for one byte
      │◀──────────────────┘ ends               │
      └──reaps it, then sends the bytes───────▶│ children of the master by now

Runs in: zygote | worker.
"""

import os
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

#: For each worker: its pid and 0, or 0 and an errno.
_OUTCOME = struct.Struct("=ii")

#: What a worker does with its life, given the socket for ``wait_reparented``; it never returns.
Become = Callable[[socket.socket], None]


def fork_for_parent(workers: Sequence[Become]) -> list[int | str]:
    """Fork one process for each of ``workers``; return the pid of each, or why it could not be made.

    When this returns, they are children of the nearest subreaper and may not have run yet.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            try:
                intermediate = os.fork()
            except OSError as error:
                return [f"fork: {error.strerror}"] * len(workers)
            if intermediate == 0:
                ours.close()
                _be_intermediate(theirs, workers)
        _, status = os.waitpid(intermediate, 0)
        with suppress(BlockingIOError):
            outcomes = ours.recv(_OUTCOME.size * len(workers), socket.MSG_DONTWAIT)
            with suppress(OSError):  # all were killed already: their exits tell
                ours.send(bytes(len(workers)))
            return [pid or f"fork: {os.strerror(error)}" for pid, error in _OUTCOME.iter_unpack(outcomes)]
        code = os.waitstatus_to_exitcode(status)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return [f"the process between zygote and worker died: {how}"] * len(workers)


def wait_reparented(handshake: socket.socket) -> bool:
    """Wait until the intermediate is gone; False if the zygote died on the way. Runs in: worker."""
    with handshake:
        try:
            return bool(handshake.recv(1))
        except OSError:
            return False


def _be_intermediate(handshake: socket.socket, workers: Sequence[Become]) -> NoReturn:
    """Fork the workers, say their pids, end."""
    status = 1
    try:
        outcomes = [_fork_one(handshake, become) for become in workers]
        handshake.send(b"".join(_OUTCOME.pack(*outcome) for outcome in outcomes))
        status = 0
    finally:
        os._exit(status)


def _fork_one(handshake: socket.socket, become: Become) -> tuple[int, int]:
    try:
        pid = os.fork()
    except OSError as error:
        return 0, error.errno or 0
    if pid == 0:
        try:
            become(handshake)
        finally:
            os._exit(1)
    return pid, 0
