"""Finds and ends what dead workers left behind, and reaps whatever the kernel gave to the master.

The master is a subreaper, so each process that lost its parent, a daemon of a bot's included, becomes the
master's child. It is killed only on evidence that it is the dead worker's: its session or group, the mark in
the environment it was executed with, the command name and title it inherited, or having been seen among the
worker's descendants. Without evidence it is left alone; a zombie is reaped in any case.

Runs in: master.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from brama.ids import BotId
from brama.marks import MARKER_VARIABLE, comm_mark, parse_marker, worker_title
from supervisor.fleet.linux import (
    Stat,
    kill_exactly,
    read_children,
    read_comm,
    read_stat,
    read_title,
    read_variable,
)


@dataclass(frozen=True, slots=True)
class Dead:
    """A worker that has ended; ``seen`` are the descendants it was seen with, as (pid, started_ticks)."""

    bot_id: BotId
    pid: int
    seen: frozenset[tuple[int, int]] = frozenset()


class Strays:
    """Tells a dead worker's strays from everything else.

    Args:
        instance: names this state directory's processes.
        is_watched: whether a pid is a worker's, or another's whose exit status somebody waits for.
        may_reap: False while a process may exist that the fleet has not been told of.
    """

    def __init__(
        self, instance: str, is_watched: Callable[[int], bool], may_reap: Callable[[], bool]
    ) -> None:
        self._instance = instance
        self._comm = comm_mark(instance)
        self._is_watched = is_watched
        self._may_reap = may_reap
        self._own_session = os.getsid(0)

    def reap_orphans(self) -> list[Stat]:
        """Reap dead orphans; return those that live, whoever they belong to."""
        living = []
        for pid in read_children(os.getpid()):
            if self._is_watched(pid):
                continue
            stat = read_stat(pid)
            # A process of the master's own session was started by the master: somebody else waits for it.
            if stat is None or stat.session == self._own_session:
                continue
            if not stat.is_zombie:
                living.append(stat)
            elif self._may_reap():
                with suppress(ChildProcessError):
                    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        return living

    def kill_of(self, dead: Iterable[Dead]) -> int:
        """SIGKILL the strays of ``dead``; return how many there were. Call again until there is none."""
        orphans = self.reap_orphans()
        strays = [stat for stat in orphans if any(self._is_of(stat, worker) for worker in dead)]
        for stat in strays:
            kill_exactly(stat)
        return len(strays)

    def _is_of(self, stat: Stat, worker: Dead) -> bool:
        if worker.pid in (stat.session, stat.group) or (stat.pid, stat.started_ticks) in worker.seen:
            return True
        if read_comm(stat.pid) == self._comm and read_title(stat.pid) == worker_title(worker.bot_id):
            return True
        marker = parse_marker(read_variable(stat.pid, MARKER_VARIABLE) or "")
        return marker is not None and (marker.instance, marker.bot_id) == (self._instance, worker.bot_id)
