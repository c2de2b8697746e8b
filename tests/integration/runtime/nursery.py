"""A warm process that forks workers for tests: what the zygote does, without its care for memory and secrets.

Run as ``python -m tests.integration.runtime.nursery FD``. A datagram with a file descriptor asks for a worker
on that pipe, ``wait PID`` for the exit code of one that has ended, if it has.
"""

import io
import os
import socket
import sys
import traceback
from typing import NoReturn

from bot_worker.channel import Channel
from bot_worker.ending import end_process
from bot_worker.runtime import patches
from bot_worker.runtime.main import run
from brama.messages import PROTOCOL_VERSION, Boot, Hello

BOOT_TIMEOUT_S = 20.0


def main(control_fd: int) -> None:
    """Serve requests until the other end is closed."""
    control = socket.socket(fileno=control_fd)
    patches.install()
    while True:
        data, fds, _, _ = socket.recv_fds(control, 4096, 1)
        if not data:
            return
        if fds:
            pid = os.fork()
            if pid == 0:
                control.close()
                _be_worker(fds[0])
            os.close(fds[0])
            control.send(str(pid).encode())
        else:
            pid = int(data.split()[1])
            ended, status = os.waitpid(pid, os.WNOHANG)
            control.send(str(os.waitstatus_to_exitcode(status)).encode() if ended else b"running")


def _be_worker(fd: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        channel = Channel(fd)
        boot = channel.take_first(BOOT_TIMEOUT_S)
        assert isinstance(boot, Boot)
        os.environ.clear()
        os.environ.update(boot.environment)
        log = os.open(boot.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        assert isinstance(sys.stdout, io.TextIOWrapper)
        sys.stdout.reconfigure(line_buffering=True)
        channel.send_now([Hello(PROTOCOL_VERSION, os.getpid(), boot.generation)])
        code = run(boot, channel)
    except BaseException:
        traceback.print_exc()
    finally:
        end_process(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
