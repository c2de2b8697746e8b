"""Node's BullMQ: the same jobs added and taken by its own library, pinned in ``node/package-lock.json``."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.peers.jobs_base import Load
from benchmarks.programs import find_installed

_SCRIPTS = Path(__file__).with_name("node")
_PINS = ("package.json", "package-lock.json")
#: Ignored by git, removed by ``make clean``.
_CACHE = Path(__file__).parents[2] / ".node"
_INSTALL_S = 110.0


class NoNodeError(Exception):
    """There is no Node with npm, or the packages cannot be had; one line for the user."""


def install() -> Path:
    """Return the ``node_modules`` with BullMQ and Bull Board; installed once for each change of the pins.

    Raises:
        NoNodeError: they cannot be installed.
    """
    npm = find_installed("npm")
    if npm is None or find_installed("node") is None:
        raise NoNodeError("no node and npm here; install them (Debian: apt-get install nodejs npm)")
    digest = hashlib.sha256(b"".join((_SCRIPTS / name).read_bytes() for name in _PINS)).hexdigest()
    folder = _CACHE / digest[:16]
    if not folder.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as name:
            fresh = Path(name) / "packages"
            _install_into(npm, fresh)
            try:
                os.rename(fresh, folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise
    return folder / "node_modules"


def _install_into(npm: str, folder: Path) -> None:
    folder.mkdir()
    for name in _PINS:
        shutil.copy(_SCRIPTS / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-fund", "--no-audit", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired:
        raise NoNodeError(f"npm ci takes longer than {_INSTALL_S:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise NoNodeError(f"npm ci failed: {lines[0]}")


class NodeBullMq:
    """Scripts in Node, run in a folder that has the packages.

    Args:
        folder: made, with the scripts and a link to the packages.
        packages: as ``install`` returned them.
    """

    name = "Node BullMQ"

    def __init__(self, folder: Path, packages: Path) -> None:
        folder.mkdir()
        for script in _SCRIPTS.glob("*.js"):
            shutil.copy(script, folder)
        shutil.copy(_SCRIPTS / "package.json", folder)
        (folder / "node_modules").symlink_to(packages)
        self._folder = folder

    def adding(self, load: Load) -> list[str]:
        """Return the command of a process that adds jobs."""
        return self._command("add.js", load.socket, load.queue, load.count, load.at_once, load.text)

    def working(self, load: Load) -> list[str]:
        """Return the command of a worker."""
        return self._command("work.js", load.socket, load.queue, load.at_once)

    def _command(self, script: str, *arguments: object) -> list[str]:
        return ["node", str(self._folder / script), *map(str, arguments)]
