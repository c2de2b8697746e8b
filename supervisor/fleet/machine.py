"""Reads how much memory is left: of the machine, and of the control group the master is in.

Runs in: master.
"""

from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")


def free_memory_share(root: Path = _ROOT) -> float:
    """Return the share of memory that is available without swapping, 0 to 1.

    A container has less than its machine: of the limits of all control groups (version 2) above this process
    the tightest counts. What is only cached from files counts as available.
    """
    shares = [_machine_share(root), *_group_shares(root)]
    return max(0.0, min(shares))


def _machine_share(root: Path) -> float:
    fields = _fields((root / "proc/meminfo").read_bytes()[:1024])
    total = fields.get(b"MemTotal:", 0)
    return fields.get(b"MemAvailable:", 0) / total if total else 1.0


def _group_shares(root: Path) -> list[float]:
    shares: list[float] = []
    with suppress(OSError, ValueError):
        line = next(
            line for line in (root / "proc/self/cgroup").read_text().splitlines() if line.startswith("0::")
        )
        top = root / "sys/fs/cgroup"
        group = top / line.removeprefix("0::").strip().lstrip("/")
        for folder in (group, *group.parents):
            if folder == top.parent:
                break
            with suppress(OSError, ValueError):
                shares.append(_group_share(folder))
    return shares


def _group_share(folder: Path) -> float:
    limit = int((folder / "memory.max").read_text())  # "max", for none, is no int
    used = int((folder / "memory.current").read_text())
    cached = _fields((folder / "memory.stat").read_bytes()).get(b"inactive_file", 0)
    return (limit - used + cached) / limit if limit else 1.0


def _fields(text: bytes) -> dict[bytes, int]:
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
