"""Finds processes that the tests started and nobody ended.

A child is one by parentage. One that lost its parent is recognised by a mark in its environment, which
whatever the tests start inherits; one that was given an environment of its own, or whose title overwrote it,
by working in the run's temporary folder or holding a file of it open. Descendants of all these count as well.
"""

import os
from pathlib import Path

import psutil

MARKER = "BRAMA_TEST_RUN"


def leftovers(mark: str, folder: Path) -> list[psutil.Process]:
    """Return living processes other than this one that descend from it, carry ``mark`` or use ``folder``.

    Zombies do not count: they run nothing and hold nothing.
    """
    this = psutil.Process()
    strays = [each for each in psutil.process_iter() if _carries(each, mark) or _uses(each, folder)]
    found = {each.pid: each for root in (this, *strays) for each in (root, *_children(root))}
    return [each for pid, each in found.items() if pid != this.pid and _is_alive(each)]


def describe(process: psutil.Process) -> str:
    """Return pid and command line, for the message that names a leftover."""
    try:
        return f"{process.pid} {' '.join(process.cmdline()) or process.name()}"
    except psutil.Error:
        return f"{process.pid} (gone by now)"


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARKER) == mark
    except (psutil.Error, OSError):
        return False


def _uses(process: psutil.Process, folder: Path) -> bool:
    inside = f"{folder}{os.sep}"
    try:
        paths = [process.cwd(), *(file.path for file in process.open_files())]
    except (psutil.Error, OSError):
        return False
    return any(f"{path}{os.sep}".startswith(inside) for path in paths)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
