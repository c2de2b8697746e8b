"""Asks idle bots whether they may sleep: after their idle_timeout, and sooner where others wait for room.

Only bots that run are looked at, and each when its time has come: those that sleep cost nothing.

Runs in: master.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from brama.clock import Clock
from brama.ids import BotId
from brama.messages import Sleep
from supervisor.fleet.member import Member
from supervisor.fleet.policy.events import Event, LimitsChanged, SleepRefused
from supervisor.fleet.policy.idleness import choose_for_room, next_question_at
from supervisor.fleet.policy.model import Phase
from supervisor.fleet.ports import Delivery

#: While bots wait for room, others are asked this often for theirs.
PRESSED_S = 0.1


@dataclass(slots=True)
class _Watch:
    """One running bot that may sleep. Times in monotonic seconds."""

    member: Member
    due_at: float
    is_asked: bool = False
    refused_at: float | None = None


class Naps:
    """The bots that run and have an ``idle_timeout``.

    Args:
        loop: the master's.
        delivery: knows who has nothing to do.
        waiting: returns how many bots wait for room.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        delivery: Delivery,
        waiting: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._loop = loop
        self._delivery = delivery
        self._waiting = waiting
        self._clock = clock
        self._watches: dict[BotId, _Watch] = {}
        self._queue: list[tuple[float, BotId]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._pressing: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Ask nobody any more."""
        self._watches.clear()
        for timer in (self._timer, self._pressing):
            if timer is not None:
                timer.cancel()

    def note(self, member: Member, event: Event, before: Phase) -> None:
        """Take in what ``event`` has made of a bot that was in the phase ``before``."""
        phase = member.worker.phase
        if phase is not before:
            if Phase.SERVE in (before, phase):
                self._watch(member)
            if self._watches and Phase.CAPACITY in (before, phase):
                self.press()
        elif isinstance(event, LimitsChanged):
            self._watch(member)
        elif isinstance(event, SleepRefused) and (watch := self._watches.get(member.settings.id)):
            watch.is_asked, watch.refused_at = False, self._clock()
            self.press()

    def press(self) -> None:
        """Ask those that idle longest for their places soon, if bots wait for room."""
        if self._pressing is None and self._waiting():
            self._pressing = self._loop.call_later(PRESSED_S, self._make_room)

    # --- inside ---------------------------------------------------------------------------------

    def _watch(self, member: Member) -> None:
        """Begin to watch a bot that runs and may sleep, or end it."""
        bot_id, timeout_s = member.settings.id, member.limits.idle_timeout_s
        if member.worker.phase is not Phase.SERVE or timeout_s is None:
            self._watches.pop(bot_id, None)
            return
        self._watches[bot_id] = watch = _Watch(member, self._clock() + timeout_s)
        self._enqueue(bot_id, watch)
        self.press()

    def _enqueue(self, bot_id: BotId, watch: _Watch) -> None:
        heappush(self._queue, (watch.due_at, bot_id))
        if self._queue[0] == (watch.due_at, bot_id):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self._queue[0][0] if self._queue else None
        self._timer = (
            None if at is None else self._loop.call_later(max(at - self._clock(), 0.0), self._look_at_due)
        )

    def _look_at_due(self) -> None:
        self._timer = None
        now = self._clock()
        while self._queue and self._queue[0][0] <= now:
            due_at, bot_id = heappop(self._queue)
            watch = self._watches.get(bot_id)
            if watch is not None and watch.due_at == due_at:
                self._look_at(bot_id, watch, now)
        if self._timer is None:
            self._arm()

    def _look_at(self, bot_id: BotId, watch: _Watch, now: float) -> None:
        timeout_s = watch.member.limits.idle_timeout_s
        assert timeout_s is not None, "a watch ends with the timeout"
        watch.due_at = next_question_at(self._delivery.idle_since(bot_id), watch.refused_at, timeout_s, now)
        if watch.due_at <= now:
            self._ask(watch)
            watch.due_at = next_question_at(None, None, timeout_s, now)
        self._enqueue(bot_id, watch)

    def _make_room(self) -> None:
        self._pressing = None
        asked = sum(watch.is_asked for watch in self._watches.values())
        idle = [
            (bot_id, idle_since, watch.refused_at)
            for bot_id, watch in self._watches.items()
            if not watch.is_asked and (idle_since := self._delivery.idle_since(bot_id)) is not None
        ]
        for bot_id in choose_for_room(idle, self._waiting() - asked, self._clock()):
            self._ask(self._watches[bot_id])
        if self._watches:
            self.press()

    def _ask(self, watch: _Watch) -> None:
        handle = watch.member.handle
        if handle is not None and not watch.is_asked:
            watch.is_asked = True
            handle.send([Sleep(watch.member.settings.idle_unsafe)])
