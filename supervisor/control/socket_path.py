"""Says where the control socket of a state directory is, the same to the master and to every command.

Runs in: master | command line.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from brama.errors import StateError

SOCKET_NAME = "brama.sock"
#: A socket's path has 108 bytes in Linux, the last one being a zero.
MAX_PATH_BYTES = 107


def socket_path(state_dir: Path) -> Path:
    """Return the control socket's path; creates nothing.

    It is ``state_dir/brama.sock``. Where that is too long for a socket it lies in a runtime directory named
    by a hash of the state directory: under /run for root's, else in the owner's /run/user folder, else in
    the temporary folder. Only the state directory decides, never the caller's environment, so that ``sudo``
    and cron find the socket that systemd's service made.
    """
    path = state_dir / SOCKET_NAME
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
    return _runtime_root(_owner_of(state_dir)) / f"brama-{digest}" / SOCKET_NAME


def prepare_socket_folder(path: Path, state_dir: Path) -> None:
    """Create the folder of ``path`` if it is a hashed one.

    Raises:
        StateError: the folder cannot be made, or is another user's.
    """
    folder = path.parent
    if folder == state_dir:
        return
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StateError(f"{folder}: the control socket's folder cannot be made: {error.strerror}") from error
    if found.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink() or found.st_mode & 0o022:
        raise StateError(
            f"{folder}: the control socket's folder is not ours alone; remove it, or shorten state_dir"
        )


def _owner_of(state_dir: Path) -> int:
    try:
        return state_dir.stat().st_uid
    except OSError:
        return os.geteuid()


def _runtime_root(uid: int) -> Path:
    if uid == 0:
        return Path("/run")
    of_user = Path(f"/run/user/{uid}")
    return of_user if of_user.is_dir() else Path(tempfile.gettempdir())
