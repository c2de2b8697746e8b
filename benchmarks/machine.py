"""Facts of the machine that a number means nothing without."""

import os
import platform
import statistics
import tempfile
from pathlib import Path

from brama.clock import monotonic_s

FSYNC_SAMPLES = 200


def fsync_p50_ms(folder: Path) -> float:
    """Return the median time of a 4 KiB append plus fsync in ``folder``, in milliseconds."""
    samples = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(FSYNC_SAMPLES):
            file.write(bytes(4096))
            file.flush()
            before = monotonic_s()
            os.fsync(file.fileno())
            samples.append((monotonic_s() - before) * 1000)
    return statistics.median(samples)


def facts(folder: Path) -> list[str]:
    """Return what a reader needs to judge the tables: cores, memory, load, kernel, Python, fsync."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"{os.cpu_count()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f} at the start",
        f"Linux {platform.release()}, Python {platform.python_version()}",
        f"fsync of 4 KiB: p50 {fsync_p50_ms(folder):.2f} ms",
    ]
