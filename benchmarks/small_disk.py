"""A disk of its own, small enough to be full at will."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted disk."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    @property
    def is_full(self) -> bool:
        """Whether it was filled and not emptied since."""
        return self._ballast.exists()

    def fill(self) -> None:
        """Leave not a byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[SmallDisk]:
    """Mount a disk in memory at ``folder``, which does not exist yet, until the block ends.

    Raises:
        PermissionError: this user may not mount anything; the text says so.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PermissionError(f"needs the right to mount a small disk: {error}") from None
    if done.returncode != 0:
        raise PermissionError(f"needs the right to mount a small disk: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
