"""Imports the modules that ``zygote.preload`` names, and refuses those that a fork would break.

A thread does not survive a fork, and its locks stay as they were; an open socket or file would be shared by
every bot. So a module that makes either is refused by name.

Runs in: zygote.
"""

import importlib
import sys
import threading
from collections.abc import Sequence

from bot_worker import linux
from brama.errors import ZygoteError

_WAY_OUT = "remove it from zygote.preload, then each bot that uses it imports it for itself"


def preload(modules: Sequence[str], project_root: str) -> None:
    """Import ``modules``, found as a bot finds them: ``project_root`` comes first in the search path.

    Raises:
        ZygoteError: one does not import, starts a thread, or leaves a file or socket open.
    """
    search_path = list(sys.path)
    sys.path.insert(0, project_root)
    try:
        for name in modules:
            before = linux.open_files()
            _import(name)
            _check(name, before)
    finally:
        sys.path[:] = search_path


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except BaseException as error:
        text = str(error).partition("\n")[0]
        raise ZygoteError(
            f'zygote.preload: "{name}" does not import: {type(error).__name__}: {text}; mend it or {_WAY_OUT}'
        ) from None


def _check(name: str, files_before: dict[int, str]) -> None:
    started = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if started or linux.task_count() > 1:
        named = f' ("{started[0]}")' if started else ""
        raise ZygoteError(
            f'zygote.preload: "{name}" starts a thread{named}, which no fork would have; {_WAY_OUT}'
        )
    if opened := [what for fd, what in linux.open_files().items() if files_before.get(fd) != what]:
        raise ZygoteError(
            f'zygote.preload: "{name}" leaves {opened[0]} open, which all bots would share; {_WAY_OUT}'
        )
