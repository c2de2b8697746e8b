"""Turns a fresh fork of the zygote into one bot's process, up to the first line of bot code.

The order matters: parentage before anything can wait, the log before anything can fail, limits and uid before
anything of the bot's runs.

Runs in: worker.
"""

import errno
import faulthandler
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import setproctitle

from bot_worker import linux
from bot_worker.channel import Channel
from bot_worker.double_fork import wait_reparented
from bot_worker.ending import end_process
from bot_worker.environment import find_home, renew_randomness, replace_environment
from bot_worker.limits import drop_privileges, limit_resources
from bot_worker.log_file import LogFile
from bot_worker.streams import install_streams
from brama.errors import ProtocolError
from brama.exit_codes import ExitCode
from brama.marks import comm_mark, worker_title
from brama.messages import PROTOCOL_VERSION, Boot, BootFailed, Hello
from brama.redaction import redact, register_secrets

#: What a bot runs: returns its exit code when the bot has ended.
Run = Callable[[Boot, Channel], int]

#: The master writes Boot right after it asked for the fork; one that does not for so long never will.
BOOT_LIMIT_S = 60.0


class _CannotBootError(Exception):
    """This worker cannot become its bot; the text is one line for the operator."""


def become_worker(pipe_fd: int, handshake: socket.socket, master_pid: int, run: Run) -> NoReturn:
    """Set this process up and ``run`` the bot; never returns.

    Args:
        pipe_fd: the worker's end of its pipe.
        handshake: tells when the master has become the parent.
        master_pid: the zygote's parent.
        run: called with the first message and the pipe once all is set up.
    """
    code: int = ExitCode.FAILED
    try:
        if not wait_reparented(handshake):
            os._exit(ExitCode.UNAVAILABLE)
        _bind_to_parent(master_pid)
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # all others are so in the zygote
        renew_randomness()
        code = _boot_and_run(Channel(pipe_fd), run)
    except BaseException:
        traceback.print_exc()
    finally:
        end_process(code)


def _boot_and_run(channel: Channel, run: Run) -> int:
    try:
        boot = _receive_boot(channel)
        _set_up(boot, channel)
    except (_CannotBootError, ProtocolError) as error:
        channel.send_now([BootFailed("config", redact(str(error)))])
        return ExitCode.CONFIG
    except (OSError, ValueError) as error:
        channel.send_now([BootFailed("config", redact(f"a worker cannot be set up: {error}"))])
        return ExitCode.CONFIG
    channel.send_now([Hello(PROTOCOL_VERSION, os.getpid(), boot.generation)])
    gc.enable()
    return _run(boot, channel, run)


def _run(boot: Boot, channel: Channel, run: Run) -> int:
    """Return what ``run`` returns, or what an interpreter would exit with after the exception it raised."""
    try:
        return run(boot, channel)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    return ExitCode.FAILED


def _receive_boot(channel: Channel) -> Boot:
    match channel.take_first(BOOT_LIMIT_S):
        case None:
            raise _CannotBootError(f"the master sent no Boot within {BOOT_LIMIT_S:g} s")
        case Boot(protocol=protocol) as boot if protocol == PROTOCOL_VERSION:
            return boot
        case Boot(protocol=protocol):
            raise _CannotBootError(
                f"the master speaks protocol {protocol}, this worker {PROTOCOL_VERSION}: the software was "
                "updated under a running master; restart it"
            )
        case other:
            raise _CannotBootError(f"the master's first message is a {type(other).__name__}")


def _set_up(boot: Boot, channel: Channel) -> None:
    _bind_to_parent(boot.master_pid)
    if boot.token in redact(boot.token):  # else its shape gives it away, and a pattern less is compiled
        register_secrets(boot.token)
    replace_environment(boot.environment, boot.marker)
    setproctitle.setproctitle(worker_title(boot.bot_id))
    linux.set_comm(comm_mark(boot.marker.partition("/")[0]))  # after the title, which overwrites it
    os.umask(os.umask(0o077) | 0o022)
    channel.reopen_log = _open_log(boot).reopen
    faulthandler.enable(file=2, all_threads=True)
    limit_resources(boot.memory_cap_bytes)
    if boot.uid is not None:
        _isolate(boot.uid, boot.uid if boot.gid is None else boot.gid, boot.master_pid)
        find_home(boot.cwd)


def _open_log(boot: Boot) -> LogFile:
    log = LogFile(boot.log_path, boot.log_max_bytes)
    gid = boot.uid if boot.gid is None else boot.gid
    try:
        log.install(boot.uid, gid)
        if boot.uid is not None and gid is not None:
            log.keep_spare(boot.uid, gid)
    except OSError as error:
        raise _CannotBootError(
            f"logs_dir: {boot.log_path} cannot be written: {error.strerror}; make it writable or set logs_dir"
        ) from None
    install_streams(log)
    return log


def _isolate(uid: int, gid: int, master_pid: int) -> None:
    try:
        drop_privileges(uid, gid)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise _CannotBootError(
            f"isolation.uids: only root may become uid {uid}; run the master as root or remove isolation.uids"
        ) from None
    if os.getppid() != master_pid:
        os._exit(ExitCode.UNAVAILABLE)


def _bind_to_parent(master_pid: int) -> None:
    """Die with the master; end at once if it is dead already."""
    linux.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != master_pid:
        os._exit(ExitCode.UNAVAILABLE)
