"""What the master reads of other processes, and the one thing it asks the kernel to be.

Every reader returns None, or nothing, for a process that is gone: it may vanish at any line.

Runs in: master.
"""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from brama.errors import StateError

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
#: Long enough for any title; a command line may be megabytes.
_TITLE_BYTES = 256


@dataclass(frozen=True, slots=True)
class Stat:
    """A process's place in the world; pid and ``started_ticks`` (since boot) together name one process."""

    pid: int
    is_zombie: bool
    parent: int
    group: int
    session: int
    started_ticks: int


def become_subreaper() -> None:
    """Make this process the parent of every descendant that loses its own.

    Raises:
        StateError: the kernel refuses, as none since Linux 3.4 does.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0) != 0:
        raise StateError(f"cannot become a child subreaper: {os.strerror(ctypes.get_errno())}")


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)


def raise_file_limit() -> int:
    """Let this process open as many files as it is allowed to allow itself; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def boot_id() -> str:
    """Return what names this boot of the machine: ticks since boot mean nothing after the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_stat(pid: int) -> Stat | None:
    """Return the place of a process, zombies included."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(
        pid=pid,
        is_zombie=fields[0] in (b"Z", b"X"),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started_ticks=int(fields[19]),
    )


def read_comm(pid: int) -> str:
    """Return the command name of a process, "" if it is gone."""
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
            return file.read().rstrip(b"\n").decode(errors="replace")
    except OSError:
        return ""


def read_title(pid: int) -> str:
    """Return the title of a process that set one, its first argument otherwise, "" if it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            return file.read(_TITLE_BYTES).split(b"\0", 1)[0].decode(errors="replace").rstrip()
    except OSError:
        return ""


def read_variable(pid: int, name: str) -> str | None:
    """Return a variable of the environment that a process was executed with."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return None
    prefix = name.encode() + b"="
    for entry in text.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="replace")
    return None


def read_rss_anon_bytes(pid: int) -> int | None:
    """Return resident anonymous memory, pages shared with the process it was forked from included.

    It is RssAnon of /proc/PID/status, read as resident less shared from /proc/PID/statm, which is cheaper.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            fields = file.read().split(maxsplit=3)
    except OSError:
        return None
    return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES if len(fields) > 2 else None


def read_children(pid: int) -> list[int]:
    """Return the children of a process, zombies included."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        if os.path.exists(f"/proc/{pid}") and not os.path.exists("/proc/thread-self/children"):
            return [stat.pid for stat in map(read_stat, all_pids()) if stat and stat.parent == pid]
    except OSError:
        pass
    return found


def read_adopted() -> list[int]:
    """Return the children of this process's main thread, zombies included: orphans become its children."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return read_children(pid)


def read_descendants(pid: int) -> list[Stat]:
    """Return the living children of a process, their children, and so on."""
    found: list[Stat] = []
    queue = read_children(pid)
    while queue:
        stat = read_stat(queue.pop())
        if stat is not None and not stat.is_zombie:
            found.append(stat)
            queue += read_children(stat.pid)
    return found


def all_pids() -> list[int]:
    """Return the pids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def move_data_limit(pid: int, by_bytes: int) -> None:
    """Move what a process may map of private memory (RLIMIT_DATA).

    Raises:
        PermissionError: the limit of a process may only be raised by root.
        OSError: the process is gone.
    """
    soft, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
    if resource.RLIM_INFINITY not in (soft, hard):
        resource.prlimit(pid, resource.RLIMIT_DATA, (soft + by_bytes, max(hard, soft) + by_bytes))


def kill_exactly(stat: Stat) -> None:
    """SIGKILL the process that ``stat`` describes, and none that got its pid meanwhile."""
    with suppress(OSError):
        pidfd = os.pidfd_open(stat.pid)
        try:
            now = read_stat(stat.pid)
            if now is not None and now.started_ticks == stat.started_ticks:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
