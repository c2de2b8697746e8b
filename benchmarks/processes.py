"""What /proc says of a tree of processes."""

import contextlib
import os
import signal
from pathlib import Path

import psutil

from brama.clock import monotonic_s


def tree(roots: list[int]) -> list[psutil.Process]:
    """Return the processes with these pids and all their descendants that live."""
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                found[process.pid] = process
    return list(found.values())


def pss_bytes(processes: list[psutil.Process]) -> int:
    """Return the proportional set size of all, shared pages counted once among those that share them."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def rss_bytes(processes: list[psutil.Process]) -> int:
    """Return the resident set size of all, shared pages counted for each that shares them."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def cpu_s(processes: list[psutil.Process]) -> float:
    """Return user plus system seconds that these have used so far, without their dead children."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def wait_gone(processes: list[psutil.Process], timeout_s: float) -> None:
    """Wait until none of ``processes`` lives.

    Raises:
        TimeoutError: some still do after ``timeout_s``; they are killed.
    """
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    if alive:
        end(alive)
        raise TimeoutError(f"{len(alive)} processes live {timeout_s:.0f} s after the stop")


def end(processes: list[psutil.Process]) -> None:
    """Kill ``processes``, each checked to be the one that was meant."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def sigkill(pid: int) -> float:
    """Kill one process; return the moment, in monotonic seconds."""
    moment = monotonic_s()
    os.kill(pid, signal.SIGKILL)
    return moment
