"""The fleet as the rest of the master sees it: from its start, or its taking over, to its end.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from brama.clock import Clock, monotonic_s
from brama.config.settings import Settings
from brama.errors import BramaError, ZygoteError
from brama.ids import BotId
from brama.log import get_logger
from brama.marks import instance_of
from supervisor.fleet.boot import capacity_of, told_of
from supervisor.fleet.crew import Crew
from supervisor.fleet.engine import Engine
from supervisor.fleet.journal import Journal
from supervisor.fleet.leftovers import end_leftovers
from supervisor.fleet.linux import become_subreaper
from supervisor.fleet.machine import free_memory_share
from supervisor.fleet.muster import Muster
from supervisor.fleet.open_files import make_room_for_files
from supervisor.fleet.policy import events, reasons
from supervisor.fleet.policy.events import Event
from supervisor.fleet.ports import Delivery, Ingress, JobDesk, Roll, Store, Zygote
from supervisor.fleet.records import MemberRecord
from supervisor.fleet.renewal import Renewal
from supervisor.fleet.room import Room
from supervisor.fleet.succession import Succession
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
        is_others: whether a child of this process is somebody else's, who waits for its exit status.
        clock: monotonic seconds.
        free_memory: returns the share of the machine's memory that is available.
        desk: takes the jobs over that bots ask for; None: they are told that jobs are off.
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
        is_others: Callable[[int], bool] = lambda _pid: False,
        clock: Clock = monotonic_s,
        free_memory: Callable[[], float] = free_memory_share,
        desk: JobDesk | None = None,
    ) -> None:
        self._settings = settings
        self._zygote = zygote
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._cores = cores
        self._journal = Journal(store, spawn, self._processes)
        self._recalled = self._journal.recall()
        self._muster = Muster(settings, self._recalled.wanted, roll)
        self._members = self._muster.members
        self._room = Room(capacity_of(settings, cores), free_memory, clock)
        self._engine = Engine(
            self._muster,
            self._journal,
            self._room,
            delivery=delivery,
            ingress=ingress,
            cores=cores,
            clock=clock,
        )
        self._tell = self._engine.tell
        self._crew = self._engine.crew = Crew(
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
            is_others=is_others,
            desk=desk,
        )
        self._succession = Succession(self._members, self._engine, self._crew, delivery, ingress)
        self._started = self._closing = self._handed_over = False
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
        await self._succession.take_over(records, routes)
        await self._begin()

    async def renew(self) -> None:
        """Replace the processes that were taken over by those of a new zygote; returns once that has begun.

        They serve on until there is one that can be used.
        """
        await self._engine.renewal.begin_when_warm(self._zygote.wait_warm)

    @property
    def renewal(self) -> Renewal:
        """The bots that still have a process of the master before."""
        return self._engine.renewal

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
        self._engine.offer_room()
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
        return self._succession.draft()

    async def retire(self, bot_ids: Collection[BotId]) -> None:
        """End the processes of bots that the next master cannot go on with; their intake goes on."""
        await self._succession.retire(bot_ids)

    async def hand_over(self) -> list[MemberRecord]:
        """Let go of every process without ending it, end the zygote, and return what is left of the fleet.

        Nothing happens to any bot from the moment this returns, nor may it be asked for anything.
        """
        await self._crew.wait_buried()
        self._handed_over = True
        records = self._succession.let_go()
        if self._tidying is not None:
            self._tidying.cancel()
        await self._zygote.aclose()
        await self._journal.close()
        return records

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
        self._engine.naps.stop()
        self._give_up_at = min(self._give_up_at, self._clock() + timeout_s + STUCK_S)
        self._muster.admit_nobody()
        self._engine.renewal.stop()
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
                    await self._engine.wait_gone(self._members.values())
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
        if (member := self._members.get(bot_id)) is not None:
            self._engine.updates_waited(member)

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
        self._engine.offer_room()
        self._tidying = self._loop.call_later(TIDY_S, self._tidy)
