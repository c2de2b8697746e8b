"""Applies what the policy decides: the shell around ``policy.lifecycle.step``.

Whatever happens becomes an event of one bot, is decided and applied at once, without an await between reading
and writing. What happens meanwhile is queued behind it.

Runs in: master.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, assert_never

from brama.clock import Clock, monotonic_s
from brama.config.settings import Settings
from brama.errors import BramaError, ZygoteError
from brama.ids import BotId, Generation
from brama.log import get_logger
from brama.marks import instance_of
from brama.messages import PROTOCOL_VERSION
from supervisor.fleet.boot import capacity_of, told_of
from supervisor.fleet.crew import Crew
from supervisor.fleet.journal import Journal
from supervisor.fleet.leftovers import end_leftovers
from supervisor.fleet.linux import become_subreaper
from supervisor.fleet.machine import free_memory_share
from supervisor.fleet.member import Member
from supervisor.fleet.muster import Muster
from supervisor.fleet.naps import Naps
from supervisor.fleet.open_files import make_room_for_files
from supervisor.fleet.policy import effects, events, reasons
from supervisor.fleet.policy.effects import Effect
from supervisor.fleet.policy.events import Event
from supervisor.fleet.policy.lifecycle import step
from supervisor.fleet.policy.model import Phase, Wanted
from supervisor.fleet.policy.succession import inherit
from supervisor.fleet.ports import Delivery, Ingress, Roll, Store, Zygote
from supervisor.fleet.records import MemberRecord, draft_record, end_disowned, final_record
from supervisor.fleet.renewal import Renewal
from supervisor.fleet.room import OCCUPYING, Room
from supervisor.fleet.turns import log_turn
from supervisor.fleet.uids import allocate_uids
from supervisor.fleet.view import WorkerView
from supervisor.updates.policy.routing import RouteRecord

#: Orphans are reaped, and bots without room looked after, at this interval.
TIDY_S = 2.0
#: A process that is not gone this long after its SIGKILL is stuck in the kernel; the master ends without it.
STUCK_S = 10.0

log = get_logger(__name__)
_COMMANDS: Mapping[str, Event] = {
    "start": events.StartCommanded(),
    "stop": events.StopCommanded(),
    "restart": events.RestartCommanded(),
}


class Fleet:
    """All bots of one master. To be made, and used, in the running loop of the main thread.

    Args:
        settings: the configuration.
        delivery: the router.
        ingress: the pollers.
        roll: told of every bot that comes or goes.
        zygote: forks workers; the fleet closes it when it stops.
        store: keeps what must survive the master.
        spawn: runs a coroutine in the application's task group.
        environ: the master's environment.
        cores: of the machine.
        clock: monotonic seconds.
        free_memory: returns the share of the machine's memory that is available.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        delivery: Delivery,
        ingress: Ingress,
        roll: Roll,
        zygote: Zygote,
        store: Store,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        environ: Mapping[str, str],
        cores: int,
        clock: Clock = monotonic_s,
        free_memory: Callable[[], float] = free_memory_share,
    ) -> None:
        self._settings = settings
        self._delivery = delivery
        self._ingress = ingress
        self._zygote = zygote
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._cores = cores
        self._journal = Journal(store, spawn, self._processes)
        self._recalled = self._journal.recall()
        self._muster = Muster(settings, self._recalled.wanted, roll)
        self._members = self._muster.members
        self._crew = Crew(
            settings,
            self._members,
            delivery=delivery,
            ingress=ingress,
            zygote=zygote,
            environ=environ,
            cores=cores,
            clock=clock,
            tell=self._tell,
            on_change=self._processes_changed,
        )
        self._room = Room(capacity_of(settings, cores), free_memory, clock)
        self._naps = Naps(self._loop, delivery, lambda: self._room.waiting, clock)
        self._events: deque[tuple[Member, Event]] = deque()
        self._applying = False
        self._empty = asyncio.Event()
        self._empty.set()
        #: Set whenever a process may have gone for good.
        self._freed = asyncio.Event()
        self._started = self._closing = self._handed_over = False
        self._renewal = Renewal(self._loop, cores, self._renew)
        self._give_up_at = float("inf")
        self._tidying: asyncio.TimerHandle | None = None

    # --- for the application ------------------------------------------------------------------

    async def start(self) -> None:
        """End what an earlier master left behind, then bring every bot that is wanted on its way.

        Raises:
            ZygoteError: the zygote cannot be used as configured.
            ConfigError: there are more bots than uids.
        """
        become_subreaper()
        make_room_for_files(self._settings)
        await self._end_leftovers()
        await self._give_uids(self._settings)
        if self._settings.zygote.preload:
            # Only what is preloaded can make a zygote refuse; Telegram is not bothered before that is known.
            await self._zygote.wait_warm()
        if not self._closing:
            await self._begin()
            await self._wait_warm()

    async def take_over(self, records: Sequence[MemberRecord], routes: Mapping[BotId, RouteRecord]) -> None:
        """Go on in place of another master, in the same process: its workers run and are heard from now on.

        To be called in place of ``start``; ``renew`` is to follow.

        Args:
            records: what that master's fleet has left; bots that are not configured are ended.
            routes: what its router has left.

        Raises:
            ConfigError: there are more bots than uids.
            CommitFailedError: the inbox cannot be read.
        """
        become_subreaper()
        make_room_for_files(self._settings)
        await self._give_uids(self._settings)
        for record in records:
            bot_id = BotId(record.bot_id)
            member = self._members.get(bot_id)
            if member is None or member.settings.telegram_id != record.telegram_id:
                end_disowned(record)
            else:
                generation = Generation(record.worker.generation)
                await self._delivery.take_over(bot_id, generation, routes.get(bot_id, RouteRecord()))
                self._adopt(member, record)
        await self._begin()

    async def renew(self) -> None:
        """Replace the processes that were taken over by those of a new zygote.

        Raises:
            ZygoteError: the zygote cannot be used as configured.
        """
        await self._wait_warm()
        log.info("fleet.renewing", bots=len(self._renewal))
        self._renewal.begin()

    @property
    def renewing(self) -> int:
        """How many bots still have a process of the master before."""
        return len(self._renewal)

    async def _begin(self) -> None:
        await self._save()
        self._started = True
        self._crew.start()
        self._tidy()
        for bot_id, member in list(self._members.items()):
            if member.handle is None:
                self._tell(member, events.MasterStarted(slept=bot_id in self._recalled.asleep))

    async def _wait_warm(self) -> None:
        """Wait until bots can be forked.

        Raises:
            ZygoteError: the zygote cannot be used as configured.
        """
        try:
            await self._zygote.wait_warm()
        except ZygoteError:
            if not self._closing:
                raise

    async def command(self, verb: str, bot_ids: Sequence[BotId]) -> dict[BotId, str]:
        """``start``, ``stop`` or ``restart`` bots; returns when what is wanted of them is durable.

        Returns:
            A sentence for each bot that the command does nothing for.

        Raises:
            BramaError: the master is starting, being replaced or stopping, or what is wanted could not be
                written.
        """
        if (obstacle := self._obstacle()) is not None:
            raise BramaError(f"{verb}: {obstacle}")
        refused = {}
        for bot_id in bot_ids:
            member = self._members[bot_id]
            if member.is_leaving:
                refused[bot_id] = reasons.REMOVED
            elif verb != "stop" and not (member.settings.telegram_id and member.settings.entry):
                refused[bot_id] = reasons.INCOMPLETE
            else:
                self._tell(member, _COMMANDS[verb])
        await self._save()
        return refused

    async def reconfigure(self, settings: Settings, renewed: Collection[BotId]) -> None:
        """Become the fleet that ``settings`` describe; returns when all is on its way.

        Args:
            settings: the configuration from now on.
            renewed: bots that need a new process, because what they are told at boot has changed.

        Raises:
            ConfigError: there are more bots than uids; nothing was changed.
            BramaError: the master starts, stops or is being replaced, or the state file cannot be written.
        """
        if (obstacle := self._obstacle()) is not None:
            raise BramaError(obstacle)
        await self._give_uids(settings)
        told = {bot_id: told_of(member, self._settings) for bot_id, member in self._members.items()}
        self._settings = settings
        self._crew.settings = settings
        self._room.capacity = capacity_of(settings, self._cores)
        make_room_for_files(settings)
        for member, event in self._muster.reconfigure(settings, renewed):
            self._tell(member, event)
        for bot_id, member in self._members.items():
            if bot_id in told:
                self._crew.retell(member, told[bot_id])
        self._offer_room()
        await self._save()

    def _obstacle(self) -> str | None:
        """Return why bots can be told nothing now, None: they can."""
        if self._closing:
            return reasons.SHUTTING_DOWN
        if self._handed_over:
            return f"{reasons.BEING_REPLACED}; try again in a moment"
        return None if self._started else f"{reasons.STARTING_UP}; try again in a moment"

    # --- a change of masters --------------------------------------------------------------------

    def draft(self) -> list[MemberRecord]:
        """Return what would be handed over now, for whoever is to prove that it can be read."""
        return [draft_record(member) for member in self._members.values()]

    async def retire(self, bot_ids: Collection[BotId]) -> None:
        """End the processes of bots that the next master cannot go on with; their intake goes on."""
        retiring = [self._members[bot_id] for bot_id in bot_ids]
        for member in retiring:
            self._tell(member, events.Retired())
        while any(member.worker.phase in OCCUPYING for member in retiring):
            self._freed.clear()
            await self._freed.wait()

    async def hand_over(self) -> list[MemberRecord]:
        """Let go of every process without ending it, end the zygote, and return what is left of the fleet.

        Nothing happens to any bot from the moment this returns, nor may it be asked for anything.
        """
        await self._crew.wait_buried()
        self._handed_over = True
        self._renewal.stop()
        self._crew.let_go()
        if self._tidying is not None:
            self._tidying.cancel()
        for member in self._members.values():
            if member.timer is not None:
                member.timer.cancel()
        records = [final_record(member) for member in self._members.values()]
        await self._zygote.aclose()
        await self._journal.close()
        return records

    def _adopt(self, member: Member, record: MemberRecord) -> None:
        bot_id, process = member.settings.id, record.process
        member.identity, member.messages, member.errors = record.identity, record.messages, record.errors
        wanted, member.worker = member.worker.wanted, inherit(member.worker, record.worker)
        if process is None:
            return
        member.memory_bytes, member.heartbeat_at = record.memory_bytes, record.heartbeat_at
        if member.worker.ingress_open:
            self._ingress.open(bot_id)
        if record.has_asked:
            member.has_asked, member.allowed_updates = True, record.allowed_updates
            self._ingress.set_allowed_updates(bot_id, record.allowed_updates)
        self._crew.adopt(member, process)
        self._count(member, Phase.STOPPED, member.worker.phase)
        self._arm(member)
        generation = Generation(member.worker.generation)
        self._renewal.add(bot_id, generation)
        if process.protocol != PROTOCOL_VERSION:
            self._tell(member, events.LinkBroken(reasons.other_protocol(process.protocol, PROTOCOL_VERSION)))
        if member.worker.phase is Phase.SERVE and member.handle is not None:
            self._delivery.worker_ready(bot_id, generation, member.handle.send)
        if wanted is not member.worker.wanted:
            because = member.worker.unwanted_because
            self._tell(member, events.Enabled() if wanted is Wanted.RUNNING else events.Disabled(because))

    def _renew(self, bot_id: BotId) -> None:
        if (member := self._members.get(bot_id)) is not None:
            self._tell(member, events.CodeChanged())

    # --- for the application, at any time -------------------------------------------------------

    def views(self) -> tuple[WorkerView, ...]:
        """Return how every bot stands, in the order of the configuration."""
        return tuple(
            member.view(self._crew.why_waiting(bot_id), before_start=not self._started)
            for bot_id, member in self._members.items()
        )

    async def stop(self, timeout_s: float) -> None:
        """End every process within ``timeout_s`` seconds; a later call may shorten that, 0 meaning now."""
        self._closing = True
        self._naps.stop()
        self._give_up_at = min(self._give_up_at, self._clock() + timeout_s + STUCK_S)
        self._muster.admit_nobody()
        self._renewal.stop()
        for member in list(self._members.values()):
            self._tell(member, events.ShutdownCommanded(timeout_s))
        if timeout_s <= 0:
            await self._zygote.aclose()
        await self._wait_empty()
        if self._tidying is not None:
            self._tidying.cancel()
        await self._zygote.aclose()
        self._crew.stop()
        await self._journal.close()

    async def _wait_empty(self) -> None:
        """Wait until there is no process, or none that can be killed."""
        while self._room.processes and (left_s := self._give_up_at - self._clock()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, 1.0)):  # a later stop() may have shortened it
                    await self._empty.wait()
        if stuck := [view.pid for view in self.views() if view.pid is not None]:
            log.error("fleet.stuck", pids=stuck)

    # --- for the pollers ----------------------------------------------------------------------

    def identity_known(self, bot_id: BotId, identity: bytes) -> None:
        """Telegram, or the cache, said who the bot is: the JSON object that getMe returned."""
        if (member := self._members.get(bot_id)) is not None:
            member.identity = identity
            self._tell(member, events.IdentityKnown())

    def identity_unreachable(self, bot_id: BotId, detail: str) -> None:
        """getMe got no answer; the poller goes on asking."""
        if (member := self._members.get(bot_id)) is not None:
            self._tell(member, events.IdentityUnreachable(detail))

    def token_rejected(self, bot_id: BotId, status: int, detail: str) -> None:
        """Telegram answered 401 or 404; the poller has given up."""
        if (member := self._members.get(bot_id)) is not None:
            self._tell(member, events.TokenRejected(f"{status} {detail}".strip()))

    # --- for the router -----------------------------------------------------------------------

    def updates_waited(self, bot_id: BotId) -> None:
        """Updates came for a bot that has no process to take them."""
        if (member := self._members.get(bot_id)) is None:
            return
        self._room.hurry(bot_id)
        if member.worker.phase is Phase.ASLEEP:
            self._tell(member, events.UpdatesWaited())

    # --- events -------------------------------------------------------------------------------

    def _tell(self, member: Member, event: Event) -> None:
        """Decide and apply ``event``, after those that are being applied."""
        if self._handed_over:
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

    def _apply(self, member: Member, event: Event) -> None:
        before = member.worker
        member.worker, decided = step(before, event, self._clock(), member.limits)
        self._count(member, before.phase, member.worker.phase)
        self._arm(member)
        self._renewal.moved(member.settings.id, member.worker)
        self._naps.note(member, event, before.phase)
        log_turn(member.settings.id, before.phase, member.worker)
        for effect in decided:
            try:
                self._do(member, effect)
            except Exception:  # of one bot, and of a neighbouring room: the fleet goes on
                log.exception("fleet.effect_failed", bot=member.settings.id, effect=type(effect).__name__)
        self._note_sleep(member, before.phase)
        for successor, beginning in self._muster.departed(member):
            self._tell(successor, beginning)

    def _note_sleep(self, member: Member, before: Phase) -> None:
        """Remember who sleeps. Who has updates waiting is woken: they may have come before it slept."""
        bot_id, phase = member.settings.id, member.worker.phase
        if phase is Phase.ASLEEP is not before:
            self._journal.slept(bot_id, is_asleep=True)
        elif before is Phase.ASLEEP is not phase and not member.worker.shutting_down:
            self._journal.slept(bot_id, is_asleep=False)
        if phase in (Phase.ASLEEP, Phase.CAPACITY) and phase is not before and self._delivery.waits(bot_id):
            self.updates_waited(bot_id)

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
                self._crew.cancel(member, Generation(generation))
            case _ if handle is None:
                log.error("fleet.effect_failed", bot=bot_id, effect=type(effect).__name__)
            case effects.SendBoot():
                if (trouble := self._crew.boot(member, handle)) is not None:
                    self._tell(member, events.BootFailed(permanent=True, detail=trouble))
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

    def _arm(self, member: Member) -> None:
        """Keep the timer at the worker's deadline."""
        at = member.worker.deadline_at
        if at == member.timer_at:
            return
        if member.timer is not None:
            member.timer.cancel()
        member.timer_at = at
        delay_s = 0.0 if at is None else max(at - self._clock(), 0.0)
        member.timer = None if at is None else self._loop.call_later(delay_s, self._expired, member)

    def _expired(self, member: Member) -> None:
        member.timer = member.timer_at = None
        if member.handle is not None:
            member.handle.catch_up()  # a master that was busy must not take its own delay for silence
        self._tell(member, events.DeadlinePassed())
        self._arm(member)

    # --- up -----------------------------------------------------------------------------------

    def _spawn(self, member: Member, generation: Generation) -> None:
        refusal = self._room.refusal(member.settings.id)
        if refusal is None:
            self._crew.spawn(member, generation)
        else:
            self._tell(member, events.CapacityRefused(refusal))

    # --- the fleet as a whole -------------------------------------------------------------------

    def _count(self, member: Member, before: Phase, after: Phase) -> None:
        """Keep count of processes, and of bots that wait for room."""
        may_sleep = member.limits.idle_timeout_s is not None
        freed = self._room.move(member.settings.id, before, after, may_sleep=may_sleep)
        if after not in OCCUPYING:
            self._freed.set()
        if self._room.processes == 0:
            self._empty.set()
        else:
            self._empty.clear()
        if freed:
            self._loop.call_soon(self._offer_room)

    def _offer_room(self) -> None:
        for bot_id in self._room.next_in_line():
            if (member := self._members.get(bot_id)) is not None:
                self._tell(member, events.CapacityFreed())

    # --- the machine ----------------------------------------------------------------------------

    async def _end_leftovers(self) -> None:
        instance = instance_of(self._settings.state_dir)
        left = await asyncio.to_thread(end_leftovers, instance, self._recalled.processes)
        if left.ended or left.remaining:
            log.warning("leftovers.ended", count=left.ended, remaining=list(left.remaining))

    async def _give_uids(self, settings: Settings) -> None:
        """Find a uid for each bot, old and new, before any of them is started."""
        if settings.isolation.uids is None:
            return
        bot_ids = dict.fromkeys([*(bot.id for bot in settings.bots), *self._members])
        remembered = {**self._recalled.uids, **self._muster.uids}
        uids = allocate_uids(bot_ids, settings.isolation.uids, remembered)
        await self._journal.remember_uids(uids)
        self._muster.uids = uids
        for bot_id, member in self._members.items():
            member.uid = uids[bot_id]

    async def _save(self) -> None:
        unsaved, self._muster.unsaved = self._muster.unsaved, {}
        await self._journal.remember_wanted(unsaved)

    def _processes(self) -> Iterable[tuple[int, int]]:
        return self._crew.processes()

    def _processes_changed(self) -> None:
        self._journal.processes_changed()

    def _tidy(self) -> None:
        self._crew.tidy()
        self._offer_room()
        self._tidying = self._loop.call_later(TIDY_S, self._tidy)
