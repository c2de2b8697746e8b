"""Asks idle bots whether they may sleep: after their idle_timeout, and sooner where others wait for room.

Only bots that run are looked at, and each when its time has come: those that sleep cost nothing.

Runs in: master.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

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
    """One running bot that may sleep; times in monotonic seconds."""

    member: Member
    timer: asyncio.TimerHandle | None = None
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
        self._pressing: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Ask nobody any more."""
        for bot_id in list(self._watches):
            self._end(bot_id)
        if self._pressing is not None:
            self._pressing.cancel()

    def note(self, member: Member, event: Event, before: Phase) -> None:
        """Take in what ``event`` has made of a bot that was in the phase ``before``."""
        bot_id, phase = member.settings.id, member.worker.phase
        if phase is not before and Phase.SERVE in (before, phase):
            self._begin(member)
        elif phase is Phase.CAPACITY:
            self._press()
        elif isinstance(event, LimitsChanged):
            self._begin(member)
        elif isinstance(event, SleepRefused) and (watch := self._watches.get(bot_id)):
            watch.is_asked, watch.refused_at = False, self._clock()
            self._look_at(watch)

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self, member: Member) -> None:
        """Watch a bot from now on, if it runs and may sleep."""
        bot_id = member.settings.id
        self._end(bot_id)
        if member.worker.phase is Phase.SERVE and member.limits.idle_timeout_s is not None:
            self._watches[bot_id] = watch = _Watch(member)
            self._look_at(watch)
            self._press()

    def _end(self, bot_id: BotId) -> None:
        if (watch := self._watches.pop(bot_id, None)) is not None and watch.timer is not None:
            watch.timer.cancel()

    def _look_at(self, watch: _Watch) -> None:
        """Ask a bot that has been idle for long enough; else look again when it may have been."""
        timeout_s = watch.member.limits.idle_timeout_s
        assert timeout_s is not None, "who may not sleep is not watched"
        now, idle_since = self._clock(), self._delivery.idle_since(watch.member.settings.id)
        due_at = next_question_at(idle_since, watch.refused_at, timeout_s, now)
        if due_at <= now:
            self._ask(watch)
        else:
            watch.timer = self._loop.call_later(due_at - now, self._look_at, watch)

    def _press(self) -> None:
        """Ask for places soon, if bots wait for room and others may give theirs up."""
        if self._pressing is None and self._watches and self._waiting():
            self._pressing = self._loop.call_later(PRESSED_S, self._make_room)

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
        self._press()

    def _ask(self, watch: _Watch) -> None:
        handle = watch.member.handle
        if handle is not None and not watch.is_asked:
            watch.is_asked = True
            handle.send([Sleep(watch.member.settings.idle_unsafe)])
