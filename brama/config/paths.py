"""Says where files are, and who can read them."""

import os
import stat
from pathlib import Path


def absolute(path: Path, root: Path) -> Path:
    """Return ``path`` made absolute from ``root``, ``~`` expanded, ``..`` folded, links kept."""
    return Path(os.path.normpath(root / os.path.expanduser(path)))


def display_name(path: Path) -> str:
    """Return ``path`` as the operator would write it from where he is."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def is_open_to_all(status: os.stat_result) -> bool:
    """Return whether a file can be read by every user of the machine (its folder's mode aside)."""
    return bool(status.st_mode & stat.S_IROTH)


def say_open(path: Path) -> str:
    """Return what to say of a file with secrets that everybody can read."""
    return f"{display_name(path)} holds secrets and every user of this machine can read it; chmod 600 it"
