"""Finds and ends what dead workers left behind, and reaps whatever the kernel gave to the master.

The master is a subreaper, so each process that lost its parent, a daemon of a bot's included, becomes the
master's child. It is killed only on evidence that it is the dead worker's: its session or group, the mark in
the environment it was executed with, the command name and title it inherited, or having been seen among the
worker's descendants. Without evidence it is left alone; a zombie is reaped in any case.

Runs in: master.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from brama.clock import monotonic_s
from brama.ids import BotId
from brama.log import get_logger
from brama.marks import MARKER_VARIABLE, comm_mark, parse_marker, worker_title
from supervisor.fleet.linux import (
    Stat,
    kill_exactly,
    read_adopted,
    read_comm,
    read_descendants,
    read_stat,
    read_title,
    read_variable,
)

#: Strays stuck in the kernel hold up the next generation no longer than this.
GRACE_S = 5.0
#: Deaths within this time share one look at the master's children: a fleet that stops is a thousand of them.
_PAUSE_S = 0.02

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Dead:
    """A worker that has ended; ``seen`` are the descendants it was seen with, as (pid, started_ticks)."""

    bot_id: BotId
    pid: int
    seen: frozenset[tuple[int, int]] = frozenset()


def look_around(pid: int, seen: frozenset[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """Return the descendants of ``pid``, and of those ``seen`` earlier all that still live.

    One that leaves session and environment behind is known by this alone.
    """
    now = {(stat.pid, stat.started_ticks) for stat in read_descendants(pid)}
    return frozenset(now | {each for each in seen - now if _lives(*each)})


def _lives(pid: int, started_ticks: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.started_ticks == started_ticks and not stat.is_zombie


@dataclass(frozen=True, slots=True)
class _Case:
    dead: Dead
    on_ended: Callable[[], None]
    until: float


class Strays:
    """Tells a dead worker's strays from everything else, and ends them.

    Args:
        loop: the master's.
        instance: names this state directory's processes.
        is_watched: whether a pid is a worker's, or another's whose exit status somebody waits for.
        may_reap: False while a process may exist that the fleet has not been told of.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        instance: str,
        is_watched: Callable[[int], bool],
        may_reap: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._instance = instance
        self._comm = comm_mark(instance)
        self._is_watched = is_watched
        self._may_reap = may_reap
        self._own_session = os.getsid(0)
        self._cases: list[_Case] = []
        self._looked_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_ended(self) -> None:
        """Wait until no worker's strays are still to be ended."""
        while self._cases:  # another may have died before this task's turn came
            await self._idle.wait()

    def stop(self) -> None:
        """End and reap nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def end(self, dead: Dead, on_ended: Callable[[], None]) -> None:
        """End the strays of a worker that was reaped; ``on_ended`` is called later, when none is left."""
        self._cases.append(_Case(dead, on_ended, monotonic_s() + GRACE_S))
        self._idle.clear()
        self._look_soon()

    def reap_orphans(self) -> list[Stat]:
        """Reap dead orphans; return those that live, whoever they belong to."""
        living = []
        for pid in read_adopted():
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

    def _look_soon(self) -> None:
        if self._timer is None:
            delay_s = max(self._looked_at + _PAUSE_S - monotonic_s(), 0.0)
            self._timer = self._loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        self._looked_at = monotonic_s()
        cases, self._cases = self._cases, []
        orphans = self.reap_orphans()
        ended = []
        for case in cases:
            left = [stat for stat in orphans if self._is_of(stat, case.dead)]
            for stat in left:
                kill_exactly(stat)
            if left and self._looked_at < case.until:
                self._cases.append(case)
                continue
            if left:
                pids = [stat.pid for stat in left]
                log.error("worker.strays_remain", bot=case.dead.bot_id, pids=pids)
            ended.append(case)
        if self._cases:
            self._look_soon()
        for case in ended:
            case.on_ended()
        if not self._cases:
            self._idle.set()

    def _is_of(self, stat: Stat, worker: Dead) -> bool:
        if worker.pid in (stat.session, stat.group) or (stat.pid, stat.started_ticks) in worker.seen:
            return True
        if read_comm(stat.pid) == self._comm and read_title(stat.pid) == worker_title(worker.bot_id):
            return True
        marker = parse_marker(read_variable(stat.pid, MARKER_VARIABLE) or "")
        return marker is not None and (marker.instance, marker.bot_id) == (self._instance, worker.bot_id)
