"""Ends what an earlier master of the same state directory left running.

A master that was killed takes its workers with it, by their parent-death signal; not their own children, nor
a worker in an uninterruptible call. They are found by record (pid and start time, unless the machine was
booted since) and by the marks they carry.

Runs in: master, before the first bot starts.
"""

import os
import select
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import msgspec

from brama.clock import monotonic_s
from brama.marks import MARKER_VARIABLE, comm_mark
from supervisor.fleet.linux import (
    Stat,
    all_pids,
    boot_id,
    kill_exactly,
    read_comm,
    read_stat,
    read_variable,
)

#: What is not gone by then is stuck in the kernel; the fleet starts all the same, and says so.
GONE_WITHIN_S = 5.0


class Records(msgspec.Struct, frozen=True):
    """Processes of one master on disk, as (pid, started_ticks), valid for one boot of the machine."""

    boot_id: str = ""
    processes: list[tuple[int, int]] = []


@dataclass(frozen=True, slots=True)
class Leftovers:
    """How many processes were ended, and the pids of those that would not go."""

    ended: int
    remaining: tuple[int, ...]


def encode_records(processes: Iterable[tuple[int, int]]) -> bytes:
    """Return the record of ``processes`` as (pid, started_ticks)."""
    return msgspec.json.encode(Records(boot_id(), sorted(processes)))


def decode_records(value: bytes | None) -> frozenset[tuple[int, int]]:
    """Return the processes of a record, none if it is of an earlier boot or no record."""
    if not value:
        return frozenset()
    try:
        records = msgspec.json.decode(value, type=Records)
    except msgspec.DecodeError:
        return frozenset()
    return frozenset(records.processes) if records.boot_id == boot_id() else frozenset()


def end_leftovers(instance: str, recorded: frozenset[tuple[int, int]]) -> Leftovers:
    """SIGKILL all leftovers of ``instance`` and wait until they are gone, at most GONE_WITHIN_S. Blocks."""
    ended: set[tuple[int, int]] = set()
    deadline = monotonic_s() + GONE_WITHIN_S
    while found := _find(instance, recorded):
        left_s = deadline - monotonic_s()
        if left_s <= 0:
            return Leftovers(len(ended), tuple(stat.pid for stat in found))
        ended |= {(stat.pid, stat.started_ticks) for stat in found}
        _kill_and_wait(found, left_s)
    return Leftovers(len(ended), ())


def _find(instance: str, recorded: frozenset[tuple[int, int]]) -> list[Stat]:
    comm, prefix = comm_mark(instance), f"{instance}/"
    spared = _own_line()
    found = []
    for pid in all_pids():
        if pid in spared:
            continue
        stat = read_stat(pid)
        if stat is None or stat.is_zombie:
            continue
        if (
            (pid, stat.started_ticks) in recorded
            or read_comm(pid) == comm
            or (read_variable(pid, MARKER_VARIABLE) or "").startswith(prefix)
        ):
            found.append(stat)
    return found


def _own_line() -> set[int]:
    """Return this process and its ancestors: a bot that starts a master is not the master's to kill."""
    line = set()
    pid = os.getpid()
    while pid > 0 and pid not in line:
        line.add(pid)
        stat = read_stat(pid)
        pid = stat.parent if stat else 0
    return line


def _kill_and_wait(found: Iterable[Stat], limit_s: float) -> None:
    """Kill ``found`` and wait until one of them, at least, has ended."""
    poll = select.poll()
    with ExitStack() as stack:
        watched = 0
        for stat in found:
            with suppress(OSError):
                pidfd = os.pidfd_open(stat.pid)
                stack.callback(os.close, pidfd)
                poll.register(pidfd, select.POLLIN)
                watched += 1
            kill_exactly(stat)
        if watched:
            poll.poll(limit_s * 1000)
