"""Holds one living generation of a worker: its process and its pipe, from birth until nothing of it is left.

The end has an order: the pipe is read to its end, the group is killed, the process reaped, its strays are
ended; only then is the worker gone.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from signal import SIGABRT, SIGCONT, SIGTERM

from brama.child_process import ChildProcess, Exit
from brama.clock import monotonic_s
from brama.ids import BotId
from brama.messages import Drain, FromWorker, ToWorker
from supervisor.fleet.linux import read_stat
from supervisor.fleet.ports import Birth
from supervisor.fleet.strays import Dead, Strays, look_around
from supervisor.fleet.worker_link import NO_REST, Rest, WorkerLink

#: A process that ends closes its pipe before it is dead; one that lives on for this long has only closed it.
BROKEN_GRACE_S = 3.0


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a process.

    Attributes:
        started_at: since when it runs, in monotonic seconds.
        seen: its descendants, as (pid, started_ticks).
        rest: what is halfway through its pipe.
        broken: why nothing more of what it writes is understood, None: it is.
    """

    started_at: float
    seen: frozenset[tuple[int, int]]
    rest: Rest = NO_REST
    broken: str | None = None


class WorkerHandle:
    """One process that is to become, is, or was a bot.

    Args:
        loop: the master's.
        bot_id: whose it is.
        birth: what the zygote answered.
        strays: ends what it leaves behind.
        on_message: called for each of its messages.
        on_broken: called when it lives on without its pipe.
        on_gone: called once, last of all.
        past: what an earlier handle of the same process knew; None: it is new.

    Raises:
        OSError: the process cannot be watched.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bot_id: BotId,
        birth: Birth,
        strays: Strays,
        *,
        on_message: Callable[[FromWorker], None],
        on_broken: Callable[[str], None],
        on_gone: Callable[[Exit], None],
        past: Past | None = None,
    ) -> None:
        self.pid = birth.pid
        self.started_at = monotonic_s() if past is None else past.started_at
        stat = read_stat(birth.pid)
        self.started_ticks = stat.started_ticks if stat else 0
        self._loop = loop
        self._bot_id = bot_id
        self._strays = strays
        self._on_broken = on_broken
        self._on_gone = on_gone
        self._seen: frozenset[tuple[int, int]] = frozenset() if past is None else past.seen
        self._grace: asyncio.TimerHandle | None = None
        self._process = ChildProcess(loop, birth.pid, self._ended)
        rest = NO_REST if past is None else past.rest
        self._link = WorkerLink(loop, birth.pipe, on_message, self._link_broke, rest)
        if past is not None and past.broken is not None:
            self._link.tear(past.broken)

    @property
    def seen(self) -> frozenset[tuple[int, int]]:
        """Descendants it was seen with that may still live, as (pid, started_ticks)."""
        return self._seen

    @property
    def queued_bytes(self) -> int:
        """Bytes sent to it that it has not read."""
        return self._link.queued_bytes

    def send(self, messages: Sequence[ToWorker]) -> None:
        """Send it messages, in one frame."""
        self._link.send(messages)

    def drain(self) -> None:
        """Ask it to finish and end."""
        self.look_around()
        self._link.send([Drain()])

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.signal(SIGTERM)

    def dump_stacks(self) -> None:
        """Have it write its stacks and die, also if it is stopped."""
        self.look_around()
        self._process.signal(SIGABRT)
        self._process.signal(SIGCONT)

    def kill(self) -> None:
        """SIGKILL to it and its group."""
        self.look_around()
        self._process.kill_group()

    def catch_up(self) -> None:
        """Hear what it has said until now."""
        self._link.read_now()

    @property
    def past(self) -> Past:
        """What another handle of the process has to know, but for what is halfway through the pipe."""
        return Past(self.started_at, self._seen, broken=self._link.torn)

    def hand_over(self) -> tuple[int, Past]:
        """Let go of the process without ending it; return a descriptor of its pipe, and what is known."""
        if self._grace is not None:
            self._grace.cancel()
        self._process.release()
        fd, rest = self._link.hand_over()
        return fd, replace(self.past, rest=rest)

    def look_around(self) -> None:
        """Note its descendants."""
        self._seen = look_around(self.pid, self._seen)

    def _link_broke(self, reason: str) -> None:
        # Whose words are not understood is to do nothing more: all of it would be done again.
        grace_s = BROKEN_GRACE_S if self._link.torn is None else 0.0
        self._grace = self._loop.call_later(grace_s, self._on_broken, reason)

    def _ended(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
        self._link.close()
        self._process.kill_group()
        exited = self._process.reap()
        self._strays.end(Dead(self._bot_id, self.pid, self._seen), lambda: self._on_gone(exited))
