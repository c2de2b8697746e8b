"""Ends a worker: what an interpreter does for the program's sake at its exit, less its own 57 ms of tidying.

Runs in: worker.
"""

import atexit
import os
import sys
import threading
import traceback
from typing import NoReturn

from bot_worker.streams import flush_streams

#: How long non-daemon threads and functions registered with ``atexit`` have together.
LIMIT_S = 10.0


def end_process(code: int) -> NoReturn:
    """Join threads, call what ``atexit`` holds, flush the streams, exit with ``code``; never raises.

    A thread or function that takes longer than LIMIT_S is left where it is.
    """
    try:
        _watch(code)
        _end_threads()
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        flush_streams()
        os._exit(code)


def _watch(code: int) -> None:
    """Exit after LIMIT_S in any case."""

    def exit_late() -> None:
        ended.wait(LIMIT_S)
        sys.stderr.write(f"brama: the exit took over {LIMIT_S:g} s and was cut off\n")
        flush_streams()
        os._exit(code)

    ended = threading.Event()
    threading.Thread(target=exit_late, name="brama exit limit", daemon=True).start()


def _end_threads() -> None:
    """Let executors finish and wait for threads, as an interpreter does before ``atexit`` functions."""
    for hook in reversed(getattr(threading, "_threading_atexits", [])):
        hook()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join()
