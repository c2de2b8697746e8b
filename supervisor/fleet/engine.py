"""Applies what the policy decides: the shell around ``policy.lifecycle.step``.

Whatever happens becomes an event of one bot, is decided and applied at once, without an await between reading
and writing. What happens meanwhile is queued behind it.

Runs in: master.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import assert_never

from brama.clock import Clock
from brama.ids import BotId, Generation
from brama.log import get_logger
from supervisor.fleet.crew import Crew
from supervisor.fleet.journal import Journal
from supervisor.fleet.member import Member
from supervisor.fleet.muster import Muster
from supervisor.fleet.naps import Naps
from supervisor.fleet.policy import effects, events
from supervisor.fleet.policy.effects import Effect
from supervisor.fleet.policy.events import Event
from supervisor.fleet.policy.lifecycle import step
from supervisor.fleet.policy.model import Phase
from supervisor.fleet.ports import Delivery, Ingress
from supervisor.fleet.renewal import Renewal
from supervisor.fleet.room import OCCUPYING, Room
from supervisor.fleet.turns import log_turn

log = get_logger(__name__)


class Engine:
    """Moves every bot of a fleet.

    Args:
        muster: all bots.
        journal: keeps who sleeps.
        room: knows what the machine has left.
        delivery: the router.
        ingress: the pollers.
        cores: of the machine.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        muster: Muster,
        journal: Journal,
        room: Room,
        *,
        delivery: Delivery,
        ingress: Ingress,
        cores: int,
        clock: Clock,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._muster = muster
        self._journal = journal
        self._room = room
        self._delivery = delivery
        self._ingress = ingress
        self._clock = clock
        #: Has the processes; to be set before the first event.
        self.crew: Crew
        self.naps = Naps(self._loop, delivery, lambda: room.waiting, clock)
        self.renewal = Renewal(self._loop, cores, self._renew)
        self._events: deque[tuple[Member, Event]] = deque()
        self._applying = self._stopped = False
        #: Set whenever a process may have gone for good.
        self._freed = asyncio.Event()

    def stop(self) -> None:
        """Apply nothing more, whatever happens; timers are cancelled."""
        self._stopped = True
        self.renewal.stop()
        self.naps.stop()
        for member in self._muster.members.values():
            if member.timer is not None:
                member.timer.cancel()

    def tell(self, member: Member, event: Event) -> None:
        """Decide and apply ``event``, after those that are being applied."""
        if self._stopped:
            return
        self._events.append((member, event))
        if self._applying:
            return
        self._applying = True
        try:
            while self._events:
                self._apply(*self._events.popleft())
        finally:
            self._applying = False

    def updates_waited(self, member: Member) -> None:
        """Updates came for a bot that has no process to take them."""
        self._room.hurry(member.settings.id)
        if member.worker.phase is Phase.ASLEEP:
            self.tell(member, events.UpdatesWaited())

    async def wait_gone(self, members: Iterable[Member]) -> None:
        """Wait until none of these has a process, or is about to get one."""
        members = tuple(members)
        while any(member.worker.phase in OCCUPYING for member in members):
            self._freed.clear()
            await self._freed.wait()

    def arm(self, member: Member) -> None:
        """Keep the timer at the worker's deadline."""
        at = member.worker.deadline_at
        if at == member.timer_at:
            return
        if member.timer is not None:
            member.timer.cancel()
        member.timer_at = at
        delay_s = 0.0 if at is None else max(at - self._clock(), 0.0)
        member.timer = None if at is None else self._loop.call_later(delay_s, self._expired, member)

    def count(self, member: Member, before: Phase, after: Phase) -> None:
        """Keep count of processes, and of bots that wait for room."""
        may_sleep = member.limits.idle_timeout_s is not None
        freed = self._room.move(member.settings.id, before, after, may_sleep=may_sleep)
        if after not in OCCUPYING:
            self._freed.set()
        if freed:
            self._loop.call_soon(self.offer_room)

    def offer_room(self) -> None:
        """Tell those that wait for room, as far as there is some."""
        for bot_id in self._room.next_in_line():
            if (member := self._muster.members.get(bot_id)) is not None:
                self.tell(member, events.CapacityFreed())

    # --- inside ---------------------------------------------------------------------------------

    def _apply(self, member: Member, event: Event) -> None:
        before = member.worker
        member.worker, decided = step(before, event, self._clock(), member.limits)
        self.count(member, before.phase, member.worker.phase)
        self.arm(member)
        self.renewal.moved(member.settings.id, member.worker, member.unfinished)
        log_turn(member.settings.id, before.phase, member.worker)
        for effect in decided:
            try:
                self._do(member, effect)
            except Exception:  # of one bot, and of a neighbouring room: the fleet goes on
                log.exception("fleet.effect_failed", bot=member.settings.id, effect=type(effect).__name__)
        self.naps.note(
            member, event, before.phase
        )  # a new process is idle only since it was opened for updates
        self._note_sleep(member, before.phase)
        for successor, beginning in self._muster.departed(member):
            self.tell(successor, beginning)

    def _note_sleep(self, member: Member, before: Phase) -> None:
        """Remember who sleeps. Who has updates waiting is woken: they may have come before it slept."""
        bot_id, phase = member.settings.id, member.worker.phase
        if phase is Phase.ASLEEP is not before:
            self._journal.slept(bot_id, is_asleep=True)
        elif before is Phase.ASLEEP is not phase and not member.worker.shutting_down:
            self._journal.slept(bot_id, is_asleep=False)
        if phase in (Phase.ASLEEP, Phase.CAPACITY) and phase is not before and self._delivery.waits(bot_id):
            self.updates_waited(member)

    def _do(self, member: Member, effect: Effect) -> None:
        bot_id, handle = member.settings.id, member.handle
        match effect:
            case effects.OpenIngress():
                self._ingress.open(bot_id)
            case effects.CloseIngress():
                self._ingress.close(bot_id)
            case effects.Remember(wanted):
                self._muster.override(bot_id, wanted)
            case effects.Spawn(generation):
                self._spawn(member, Generation(generation))
            case effects.CancelSpawn(generation):
                self.crew.cancel(member, Generation(generation))
            case _ if handle is None:
                log.error("fleet.effect_failed", bot=bot_id, effect=type(effect).__name__)
            case effects.SendBoot():
                if (trouble := self.crew.boot(member, handle)) is not None:
                    self.tell(member, events.BootFailed(permanent=True, detail=trouble))
            case effects.OpenDelivery():
                member.delivering = True
                self._delivery.worker_ready(bot_id, Generation(member.worker.generation), handle.send)
            case effects.HoldDelivery():
                self._delivery.worker_draining(bot_id)
            case effects.SendDrain():
                handle.drain()
            case effects.Terminate():
                handle.terminate()
            case effects.DumpStacks():
                handle.dump_stacks()
            case effects.KillGroup():
                handle.kill()
            case _ as never:
                assert_never(never)

    def _expired(self, member: Member) -> None:
        member.timer = member.timer_at = None
        if member.handle is not None:
            member.handle.catch_up()  # a master that was busy must not take its own delay for silence
        self.tell(member, events.DeadlinePassed())
        self.arm(member)

    def _spawn(self, member: Member, generation: Generation) -> None:
        refusal = self._room.refusal(member.settings.id)
        if refusal is None:
            self.crew.spawn(member, generation)
        else:
            self.tell(member, events.CapacityRefused(refusal))

    def _renew(self, bot_id: BotId) -> None:
        if (member := self._muster.members.get(bot_id)) is not None:
            self.tell(member, events.CodeChanged())
