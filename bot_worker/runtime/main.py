"""Runs one bot in this process, from its first message to its exit code.

Runs in: worker.
"""

import concurrent.futures.thread
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from types import TracebackType

from bot_worker.ending import end_process
from bot_worker.runtime import patches
from bot_worker.runtime.entry import run_entry
from bot_worker.runtime.policy.boot_failure import end_before_ready, exit_code_of
from bot_worker.runtime.ports import Channel
from bot_worker.runtime.restarts import exec_ends_the_script
from bot_worker.runtime.worker import Worker
from brama.exit_codes import ExitCode
from brama.messages import Boot

#: Frames of files below here are ours, not the bot's.
_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def run(boot: Boot, channel: Channel) -> int:
    """Run the bot that ``boot`` describes until it ends; return the process's exit code.

    ``channel`` has brought ``boot`` and said Hello. Why a bot ended before it was ready, a BootFailed says.
    """
    patches.install()
    worker = Worker(boot, channel, end_process)
    with (
        patches.bound(worker),
        worker.draining.on_termination(),
        exec_ends_the_script(worker.notices, worker.draining.begin_soon),
    ):
        code = _judge(worker, _error_of(boot), channel)
        worker.say_last_words()
    return code


def _error_of(boot: Boot) -> BaseException | None:
    """Run the bot to its end; return what it raised."""
    try:
        run_entry(boot)
    except BaseException as error:
        return error
    _wait_for_threads()
    return None


def _wait_for_threads() -> None:
    """Wait for a bot that lives in a thread of its script, as the interpreter does at its exit."""
    pooled = concurrent.futures.thread._threads_queues
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread() and thread not in pooled:
            with suppress(KeyboardInterrupt):
                thread.join()


def _judge(worker: Worker, error: BaseException | None, channel: Channel) -> int:
    """Return the exit code for a script that has ended with ``error``; log it as the interpreter would."""
    _log(error)
    if worker.session.draining:
        return ExitCode.OK
    if not worker.session.ready:
        if error is None and worker.session.was_interrupted:
            return 128 + signal.SIGTERM
        end = end_before_ready(error, _place(error))
        if end.failure is not None:
            channel.send(end.failure)
        return end.code
    match error:
        case None:
            return ExitCode.OK
        case SystemExit():
            return exit_code_of(error)
        case KeyboardInterrupt():
            return 130
    return ExitCode.FAILED


def _log(error: BaseException | None) -> None:
    match error:
        case None | KeyboardInterrupt():
            return
        case SystemExit(code=code):
            if code is not None and not isinstance(code, int):
                sys.stderr.write(f"{code}\n")
        case _:
            try:
                traceback.print_exception(type(error), error, _without_own_frames(error.__traceback__))
            except Exception:
                sys.stderr.write(f"{type(error).__name__} was raised; its stack cannot be printed\n")


def _without_own_frames(stack: TracebackType | None) -> TracebackType | None:
    """Return the part of ``stack`` from the bot's first line on, None if there is none."""
    ours = (_OWN_FOLDER, "<frozen importlib")
    while stack is not None and stack.tb_frame.f_code.co_filename.startswith(ours):
        stack = stack.tb_next
    return stack


def _place(error: BaseException | None) -> str:
    """Return ``file:line`` of the bot's own code that ``error`` came through last."""
    place = ""
    stack = _without_own_frames(error.__traceback__) if error is not None else None
    folders = (os.getcwd() + os.sep, sys.path[0] + os.sep)
    for frame, line in traceback.walk_tb(stack):
        path = frame.f_code.co_filename
        if path.startswith(folders) and "site-packages" not in path:
            place = f"{os.path.relpath(path)}:{line}"
    return place
