"""Keeps two masters from using one state directory.

Runs in: master.
"""

import errno
import fcntl
import os
from pathlib import Path

from brama.errors import StateError

LOCK_NAME = "brama.lock"


class InstanceLock:
    """The lock of one state directory; when its holder ends, however, the kernel lets go of it."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK_NAME
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock and write this process's pid into its file.

        Raises:
            StateError: another instance holds it, or the directory cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            whose = f"as pid {holder}" if holder.isdecimal() else "and is just starting"
            raise StateError(
                f"already running {whose} (it holds {self._path}); stop it, or set another state_dir"
            ) from None
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(fd)
            raise self._unwritable(error) from None
        self._fd = fd

    def adopt(self, fd: int) -> None:
        """Hold the lock by a file descriptor that ``hand_over`` returned."""
        self._fd = fd

    def hand_over(self) -> int:
        """Let go of the object, not of the lock: that belongs to the file descriptor returned."""
        assert self._fd is not None
        fd, self._fd = self._fd, None
        return fd

    def release(self) -> None:
        """Let go of the lock; its file stays, as a lock on a removed file holds nobody off."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def _unwritable(self, error: OSError) -> StateError:
        advice = "make room" if error.errno == errno.ENOSPC else "make it writable or set state_dir"
        return StateError(f"state_dir: {self._path} cannot be written: {error.strerror}; {advice}")
