"""Gives a forked worker the environment it would have had as a program of its own.

An interpreter reads some variables at its start only; those that matter to bots are applied anew.

Runs in: worker.
"""

import locale
import os
import random
import sys
from collections.abc import Mapping

from brama.clock import read_time_zone
from brama.marks import MARKER_VARIABLE


def replace_environment(environment: Mapping[str, str], marker: str) -> None:
    """Make ``environment`` and the marker the whole environment; TZ, locale and PYTHONPATH take effect."""
    before = _python_path()
    os.environ.clear()
    os.environ.update(environment)
    os.environ[MARKER_VARIABLE] = marker
    read_time_zone()
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:  # as the interpreter does at its start
        locale.setlocale(locale.LC_CTYPE, "C")
    sys.path[:0] = [entry for entry in _python_path() if entry not in before and entry not in sys.path]


def renew_randomness() -> None:
    """Give this worker random numbers and keys that no sibling has.

    ``ssl`` and ``secrets`` ask the kernel or notice a fork by themselves. The seed of str hashes stays the
    zygote's: an interpreter cannot change it.
    """
    random.seed()
    if process := sys.modules.get("multiprocessing.process"):
        process.current_process().authkey = os.urandom(32)


def _python_path() -> list[str]:
    return [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
