"""A wall clock that can be moved for some processes: libfaketime. The machine's own is left alone.

``time.sleep`` fails under version 0.9.10 of that library; no part of a fleet calls it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_LIBRARY = Path("faketime") / "libfaketimeMT.so.1"
_LIBRARY_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
#: Where it keeps files named after its processes, which those that are killed leave behind.
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(slots=True)
class WallClock:
    """The wall clock of processes started with ``environment``; their monotonic clock is the machine's.

    Attributes:
        offset_s: how far it is ahead of the machine's, in seconds.
    """

    library: Path
    file: Path
    offset_s: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a process must be started with; it hands that on to those it starts."""
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            # A remedy for an old C library, under which a thread that waits for the interpreter's lock spins.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }

    def jump(self, offset_s: int) -> None:
        """Move it to ``offset_s`` ahead of the machine's; processes see it within a second."""
        self.offset_s = offset_s
        draft = self.file.with_suffix(".draft")
        draft.write_text(f"{offset_s:+d}s\n")
        draft.replace(self.file)


def find_library() -> Path | None:
    """Return libfaketime, None where it is not installed."""
    for folder in map(Path, _LIBRARY_FOLDERS):
        for found in (folder / _LIBRARY, *folder.glob(f"*/{_LIBRARY}")):
            if found.exists():
                return found
    return None


@contextmanager
def wall_clock(library: Path, file: Path) -> Iterator[WallClock]:
    """Give a wall clock, right at first, until the block ends; its processes are gone by then.

    Args:
        library: libfaketime.
        file: where its offset is written.
    """
    clock = WallClock(library, file)
    before = set(_shared_files())
    clock.jump(0)
    try:
        yield clock
    finally:
        for left in set(_shared_files()) - before:
            if not psutil.pid_exists(int(left.name.rpartition("_")[2])):
                with suppress(FileNotFoundError):
                    os.unlink(left)


def _shared_files() -> Iterator[Path]:
    yield from _SHARED_MEMORY.glob("faketime_shm_*")
    yield from _SHARED_MEMORY.glob("sem.faketime_sem_*")
