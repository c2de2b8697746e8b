"""The console script: refuses an environment shared with supervisord, else hands over to the command line.

supervisord's distribution is named ``supervisor`` and so is its import package, which is ours as well. pip
lets the two overwrite each other's files without a word, in either order, and both break in ways nobody would
trace back to it. So this script lives in ``brama``, which nothing overwrites, and looks before it imports.

The look is a directory listing for each entry of ``sys.path``: importing ``importlib.metadata`` would cost
every command some 20 ms.
"""

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import PathFinder

from brama.exit_codes import ExitCode

#: What installers leave beside the packages of a distribution named "supervisor"; its group is the version.
_METADATA = re.compile(r"supervisor-([0-9][^-]*)(?:-py[0-9.]+)?\.(?:dist|egg)-info", re.IGNORECASE)
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_WAY_OUT = (
    "give brama-supervisor an environment of its own: "
    "python3 -m venv ~/brama && ~/brama/bin/pip install brama-supervisor"
)


def find_conflict(search_path: Sequence[str], own_root: str = _HERE) -> str | None:
    """Return one line that names what takes the import name ``supervisor`` from us, or None.

    ``search_path`` is ``sys.path``; ``own_root`` is the folder our packages were installed into.
    """
    for folder in search_path:
        try:
            names = os.listdir(folder or ".")
        except OSError:  # entries of sys.path may be zip files or absent
            continue
        for found in filter(None, map(_METADATA.fullmatch, names)):
            return f"supervisord {found[1]}, whose import name is ours, is installed in {folder}; {_WAY_OUT}"
    ours = os.path.join(own_root, "supervisor")
    spec = PathFinder.find_spec("supervisor", search_path)
    theirs = next(iter(spec.submodule_search_locations or [spec.origin or ours]), ours) if spec else ours
    if os.path.realpath(theirs) != os.path.realpath(ours):
        return f"another package named supervisor, {theirs}, hides ours, {ours}; {_WAY_OUT}"
    return None


def main() -> None:
    """Run ``brama-supervisor``; exit with code 78 and one line on stderr if supervisord is in the way."""
    if conflict := find_conflict(sys.path):
        print(f"brama-supervisor: {conflict}", file=sys.stderr)
        raise SystemExit(ExitCode.CONFIG)
    # By name: brama is the floor of the house and imports none of its rooms.
    import_module("supervisor.cli").main()
