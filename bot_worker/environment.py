"""Gives a forked worker the environment it would have had as a program of its own.

An interpreter reads some variables at its start only; those that matter to bots are applied anew.

Runs in: worker.
"""

import locale
import os
import sys
from collections.abc import Mapping

from brama.clock import read_time_zone
from brama.marks import MARKER_VARIABLE

_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")
_READ_AT_START = ("TZ", "PYTHONPATH", *_LOCALE)


def replace_environment(environment: Mapping[str, str], marker: str) -> None:
    """Make ``environment`` and the marker the whole environment; TZ, locale and PYTHONPATH take effect."""
    before = {name: os.environ.get(name) for name in _READ_AT_START}
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    os.environ[MARKER_VARIABLE] = marker
    changed = {name for name, value in before.items() if os.environ.get(name) != value}
    if "TZ" in changed:
        read_time_zone()
    if changed.intersection(_LOCALE):
        _read_locale()
    if "PYTHONPATH" in changed:
        known = {*sys.path, *_folders(before["PYTHONPATH"])}
        sys.path[:0] = [folder for folder in _folders(os.environ.get("PYTHONPATH")) if folder not in known]


def renew_randomness() -> None:
    """Give this worker random numbers and keys that no sibling has.

    ``random``, ``ssl`` and ``secrets`` see to it by themselves. The seed of str hashes stays the zygote's: an
    interpreter cannot change it.
    """
    if process := sys.modules.get("multiprocessing.process"):
        process.current_process().authkey = os.urandom(32)
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()


def find_home(folder: str) -> None:
    """Let HOME be ``folder`` if this process, which has just become another user, cannot write to its own."""
    if not os.access(os.environ.get("HOME", ""), os.W_OK):
        os.environ["HOME"] = folder


def _read_locale() -> None:
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:  # as the interpreter does at its start
        locale.setlocale(locale.LC_CTYPE, "C")


def _folders(search_path: str | None) -> list[str]:
    return [os.path.abspath(entry) for entry in (search_path or "").split(os.pathsep) if entry]
