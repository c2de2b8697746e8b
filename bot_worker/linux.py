"""What Linux offers and Python's standard library does not: prctl, malloc's knobs, numbers from /proc/self.

Runs in: zygote | worker.
"""

import ctypes
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_THP_DISABLE = 41
_M_ARENA_MAX = -8

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    zero = ctypes.c_ulong(0)
    if _libc.prctl(option, value, zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def set_parent_death_signal(signal_number: int) -> None:
    """Have the kernel send ``signal_number`` when the parent dies; forking and changing uids clear it.

    The parent may have died before the call: compare getppid() afterwards.
    """
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def set_subreaper(wanted: bool) -> None:
    """Be the parent of every descendant whose own parent ends, or be it no more."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))


def set_comm(name: str) -> None:
    """Set /proc/self/comm; the kernel keeps the first 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode())


def forbid_new_privileges() -> None:
    """Make set-uid programs and file capabilities ineffective for this process and all it starts."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def disable_huge_pages() -> None:
    """Keep memory in 4 KiB pages, in forks as well: a write after a fork copies one page, not 2 MiB."""
    _prctl(_PR_SET_THP_DISABLE, 1)


def limit_malloc_arenas(count: int) -> None:
    """Bound glibc's heaps: each further one, made for a thread, keeps its own pages. No-op on musl."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, count)


def trim_malloc() -> None:
    """Give free pages of glibc's heap back. Does nothing on musl."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(ctypes.c_size_t(0))


def rss_anon_bytes() -> int:
    """Return the resident anonymous memory of this process, pages shared with its parent included."""
    return _status_bytes(b"RssAnon:")


def data_bytes() -> int:
    """Return what the kernel holds against RLIMIT_DATA: private writable mappings, touched or not."""
    return _status_bytes(b"VmData:")


def uss_bytes() -> int:
    """Return the memory no other process shares: what would be free if this process ended."""
    with open("/proc/self/smaps_rollup", "rb") as rollup:
        return sum(
            _kilobytes(line) for line in rollup if line.startswith((b"Private_Clean:", b"Private_Dirty:"))
        )


def task_count() -> int:
    """Return the number of threads the kernel sees in this process, also those Python does not know of."""
    return len(os.listdir("/proc/self/task"))


def open_files() -> dict[int, str]:
    """Return each open file descriptor and what it refers to, as ``socket:[123]`` or a path."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the listing's own
            continue
    return found


def read_children() -> list[int]:
    """Return the living children of this process, whichever of its threads started them."""
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children", "rb") as children:
                found += map(int, children.read().split())
        except OSError:  # the thread has ended
            continue
    return [pid for pid in found if not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def _status_bytes(field: bytes) -> int:
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(field):
                return _kilobytes(line)
    return 0


def _kilobytes(line: bytes) -> int:
    return int(line.split()[1]) * 1024
