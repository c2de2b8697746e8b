"""Applies what the policy decides: the shell around ``policy.lifecycle.step``.

Whatever happens becomes an event of one bot, is decided and applied at once, without an await between reading
and writing. What happens meanwhile is queued behind it.

Runs in: master.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

from brama.clock import Clock, monotonic_s
from brama.config.settings import Settings
from brama.errors import BramaError
from brama.ids import BotId, Generation
from brama.log import get_logger
from brama.marks import instance_of
from brama.messages import (
    Begun,
    BootFailed,
    Failed,
    FromWorker,
    Heartbeat,
    Hello,
    Notice,
    Processed,
    Ready,
    Released,
    Returned,
)
from supervisor.fleet.boot import build_boot, limits_of
from supervisor.fleet.gate import Gate
from supervisor.fleet.journal import Journal
from supervisor.fleet.leftovers import end_leftovers
from supervisor.fleet.linux import become_subreaper, free_memory_share, read_rss_anon_bytes, read_stat
from supervisor.fleet.member import Member
from supervisor.fleet.policy import effects, events, reasons
from supervisor.fleet.policy.capacity import Capacity
from supervisor.fleet.policy.effects import Effect
from supervisor.fleet.policy.events import Event
from supervisor.fleet.policy.lifecycle import step
from supervisor.fleet.policy.model import Phase, Wanted, Worker
from supervisor.fleet.ports import Birth, Delivery, Ingress, Store, Zygote
from supervisor.fleet.room import Room
from supervisor.fleet.rounds import Rounds
from supervisor.fleet.strays import Strays
from supervisor.fleet.uids import allocate_uids
from supervisor.fleet.view import WorkerView
from supervisor.fleet.worker_handle import WorkerHandle
from supervisor.fleet.worker_process import Exit

#: Orphans are reaped, and bots without room looked after, at this interval.
TIDY_S = 2.0

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
        self._environ = environ
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._instance = instance_of(settings.state_dir)
        self._journal = Journal(store, spawn, self._processes)
        self._strays = Strays(self._instance, self._is_watched, lambda: not zygote.owes_answers)
        self._gate = Gate(self._loop, cores, self._ask_zygote)
        self._rounds = Rounds(self._loop, self._with_process, self._look_at)
        limits = settings.limits
        capacity = Capacity(limits.max_workers, limits.max_workers_per_core, cores, limits.min_free_memory)
        self._room = Room(capacity, free_memory, clock)
        self._members = {
            bot.id: Member(bot, limits_of(settings, bot), Worker(enabled=bot.enabled))
            for bot in settings.bots
        }
        self._pids: set[int] = set()
        self._events: deque[tuple[Member, Event]] = deque()
        self._applying = False
        self._unsaved: dict[BotId, Wanted] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._closing = False
        self._tidying: asyncio.TimerHandle | None = None

    # --- for the application ------------------------------------------------------------------

    async def start(self) -> None:
        """End what an earlier master left behind, then bring every bot that is wanted on its way.

        Raises:
            ZygoteError: the zygote cannot be used as configured.
            ConfigError: there are more bots than uids.
        """
        become_subreaper()
        recalled = self._journal.recall()
        left = await asyncio.to_thread(end_leftovers, self._instance, recalled.processes)
        if left.ended or left.remaining:
            log.warning("leftovers.ended", count=left.ended, remaining=list(left.remaining))
        if self._settings.isolation.uids is not None:
            uids = allocate_uids(self._members, self._settings.isolation.uids, recalled.uids)
            await self._journal.remember_uids(uids)
            for bot_id, uid in uids.items():
                self._members[bot_id].uid = uid
        await self._zygote.wait_warm()
        if self._closing:
            return
        self._rounds.start()
        self._tidy()
        for bot_id, member in self._members.items():
            wanted = recalled.wanted.get(bot_id, Wanted.RUNNING)
            member.worker = Worker(enabled=member.settings.enabled, wanted=wanted)
            self._tell(member, events.MasterStarted())

    async def command(self, verb: str, bot_ids: Sequence[BotId]) -> dict[BotId, str]:
        """``start``, ``stop`` or ``restart`` bots; returns when what is wanted of them is durable.

        Returns:
            A sentence for each bot that the command does nothing for.

        Raises:
            BramaError: the master is stopping, or what is wanted could not be written.
        """
        if self._closing:
            raise BramaError(f"{verb}: {reasons.SHUTTING_DOWN}")
        refused = {}
        for bot_id in bot_ids:
            member = self._members[bot_id]
            if not member.settings.enabled and verb != "stop":
                refused[bot_id] = reasons.DISABLED
            else:
                self._tell(member, _COMMANDS[verb])
        unsaved, self._unsaved = self._unsaved, {}
        await self._journal.remember_wanted(unsaved)
        return refused

    def views(self) -> tuple[WorkerView, ...]:
        """Return how every bot stands, in the order of the configuration."""
        trouble = self._zygote.trouble
        return tuple(
            member.view("waits for its turn to boot" if self._gate.is_waiting(bot_id) else trouble)
            for bot_id, member in self._members.items()
        )

    async def stop(self, timeout_s: float) -> None:
        """End every process within ``timeout_s`` seconds; a later call may shorten that, 0 meaning now."""
        self._closing = True
        for member in self._members.values():
            self._tell(member, events.ShutdownCommanded(timeout_s))
        if timeout_s <= 0:
            await self._zygote.aclose()
        await self._empty.wait()
        self._rounds.stop()
        if self._tidying is not None:
            self._tidying.cancel()
        await self._zygote.aclose()
        self._strays.reap_orphans()
        await self._journal.close()

    # --- for the pollers ----------------------------------------------------------------------

    def identity_known(self, bot_id: BotId, identity: bytes) -> None:
        """Telegram, or the cache, said who the bot is: the JSON object that getMe returned."""
        member = self._members[bot_id]
        member.identity = identity
        self._tell(member, events.IdentityKnown())

    def identity_unreachable(self, bot_id: BotId, detail: str) -> None:
        """getMe got no answer; the poller goes on asking."""
        self._tell(self._members[bot_id], events.IdentityUnreachable(detail))

    def token_rejected(self, bot_id: BotId, status: int, detail: str) -> None:
        """Telegram answered 401 or 404; the poller has given up."""
        self._tell(self._members[bot_id], events.TokenRejected(f"{status} {detail}".strip()))

    # --- events -------------------------------------------------------------------------------

    def _tell(self, member: Member, event: Event) -> None:
        """Decide and apply ``event``, after those that are being applied."""
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
        self._report(member, before.phase)
        for effect in decided:
            try:
                self._do(member, effect)
            except Exception:  # of one bot, and of a neighbouring room: the fleet goes on
                log.exception("fleet.effect_failed", bot=member.settings.id, effect=type(effect).__name__)

    def _do(self, member: Member, effect: Effect) -> None:
        bot_id, handle = member.settings.id, member.handle
        match effect:
            case effects.OpenIngress():
                self._ingress.open(bot_id)
            case effects.CloseIngress():
                self._ingress.close(bot_id)
            case effects.Remember(wanted):
                self._unsaved[bot_id] = wanted
            case effects.Spawn(generation):
                self._spawn(member, Generation(generation))
            case effects.CancelSpawn(generation):
                if self._gate.withdraw(bot_id):
                    self._tell(member, events.SpawnFailed("withdrawn"))
                else:
                    self._zygote.withdraw(bot_id, Generation(generation))
            case _ if handle is None:
                log.error("fleet.effect_failed", bot=bot_id, effect=type(effect).__name__)
            case effects.SendBoot():
                self._boot(member, handle)
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
        refusal = self._room.refusal()
        if refusal is None:
            self._gate.enter(member.settings.id, generation)
        else:
            self._tell(member, events.CapacityRefused(refusal))

    def _ask_zygote(self, bot_id: BotId, generation: Generation) -> None:
        self._zygote.fork(bot_id, generation, partial(self._born, self._members[bot_id], generation))

    def _born(self, member: Member, generation: Generation, outcome: Birth | str) -> None:
        bot_id = member.settings.id
        if isinstance(outcome, str):
            self._gate.leave(bot_id)
            self._tell(member, events.SpawnFailed(outcome))
            return
        try:
            member.handle = WorkerHandle(
                self._loop,
                bot_id,
                outcome,
                self._strays,
                on_message=partial(self._heard, member, generation),
                on_broken=lambda reason: self._tell(member, events.LinkBroken(reason)),
                on_gone=partial(self._gone, member),
            )
        except OSError as error:  # its pipe's end ends it: without a Boot it is nobody
            outcome.pipe.close()
            self._gate.leave(bot_id)
            self._tell(member, events.SpawnFailed(f"its process cannot be watched: {error.strerror}"))
            return
        self._pids.add(outcome.pid)
        member.shared_bytes = self._zygote.memory_bytes
        member.memory_bytes, member.heartbeat_at = 0, None
        self._journal.processes_changed()
        self._tell(member, events.SpawnSucceeded(outcome.pid))
        log.info("worker.started", bot=bot_id, generation=generation, pid=outcome.pid)

    def _boot(self, member: Member, handle: WorkerHandle) -> None:
        assert member.identity is not None, "identity comes first"
        boot = build_boot(
            self._settings,
            member.settings,
            Generation(member.worker.generation),
            instance=self._instance,
            identity=member.identity,
            environ=self._environ,
            memory_cap_bytes=member.limits.memory_bytes,
            uid=member.uid,
        )
        handle.boot(boot)

    # --- what workers say, and their end --------------------------------------------------------

    def _heard(self, member: Member, generation: Generation, message: FromWorker) -> None:
        bot_id = member.settings.id
        match message:
            case Begun() | Released() | Returned():
                self._delivery.worker_said(bot_id, generation, message)
            case Processed(seqs):
                member.messages += len(seqs)
                self._delivery.worker_said(bot_id, generation, message)
            case Failed():
                member.errors += 1
                self._delivery.worker_said(bot_id, generation, message)
            case Heartbeat(uss_bytes=uss_bytes):
                member.memory_bytes, member.heartbeat_at = uss_bytes, self._clock()
                self._tell(member, events.HeartbeatReceived(uss_bytes))
            case Hello():
                pass
            case Ready(allowed):
                self._ingress.set_allowed_updates(bot_id, allowed)
                if member.worker.phase is Phase.BOOT and member.handle is not None:
                    boot_ms = round((self._clock() - member.handle.started_at) * 1000)
                    log.info("worker.ready", bot=bot_id, generation=generation, boot_ms=boot_ms)
                self._gate.leave(bot_id)
                self._tell(member, events.ReadyReceived())
            case BootFailed(cause, detail):
                log.warning("worker.boot_failed", bot=bot_id, cause=cause, detail=detail)
                self._tell(member, events.BootFailed(cause != "network", detail))
            case Notice(code, text):
                log.warning("bot.warned", bot=bot_id, code=code, text=text)
            case _ as never:
                assert_never(never)

    def _gone(self, member: Member, exited: Exit) -> None:
        bot_id, worker, handle = member.settings.id, member.worker, member.handle
        assert handle is not None
        in_flight, charged = 0, False
        if member.delivering:
            in_flight = self._delivery.in_flight(bot_id).count
            charged = self._delivery.worker_gone(bot_id, commanded=worker.commanded)
        self._pids.discard(handle.pid)
        member.handle, member.delivering = None, False
        member.memory_bytes, member.heartbeat_at = 0, None
        self._gate.leave(bot_id)
        self._journal.processes_changed()
        self._tell(member, events.WorkerExited(exited.code, exited.signal, charged))
        log.info(
            "worker.exited",
            bot=bot_id,
            generation=worker.generation,
            pid=handle.pid,
            **({"code": exited.code} if exited.signal is None else {"signal": exited.signal}),
            reason=worker.reason or reasons.describe_exit(exited.code, exited.signal),
            uptime_s=round(self._clock() - handle.started_at, 3),
            in_flight=in_flight,
            charged=charged,
            state=member.worker.state,
        )

    # --- the fleet as a whole -------------------------------------------------------------------

    def _count(self, member: Member, before: Phase, after: Phase) -> None:
        """Keep count of processes, and of bots that wait for room."""
        freed = self._room.move(member.settings.id, before, after)
        if self._room.processes == 0:
            self._empty.set()
        else:
            self._empty.clear()
        if freed:
            self._loop.call_soon(self._offer_room)

    def _offer_room(self) -> None:
        for bot_id in self._room.next_in_line():
            self._tell(self._members[bot_id], events.CapacityFreed())

    def _look_at(self, bot_id: BotId) -> None:
        """Take one worker's memory, and note its descendants."""
        member = self._members[bot_id]
        handle = member.handle
        if handle is None or (anonymous := read_rss_anon_bytes(handle.pid)) is None:
            return
        private_bytes = max(anonymous - member.shared_bytes, 0)
        if member.heartbeat_at is None:
            member.memory_bytes = private_bytes
        seen = handle.seen
        handle.look_around()
        if handle.seen != seen:
            self._journal.processes_changed()
        self._tell(member, events.MemorySampled(private_bytes))

    def _tidy(self) -> None:
        self._strays.reap_orphans()
        self._offer_room()
        self._tidying = self._loop.call_later(TIDY_S, self._tidy)

    def _with_process(self) -> Iterable[BotId]:
        return [bot_id for bot_id, member in self._members.items() if member.handle is not None]

    def _is_watched(self, pid: int) -> bool:
        return pid == self._zygote.pid or pid in self._pids

    def _processes(self) -> Iterable[tuple[int, int]]:
        """Return all processes that are to be ended should this master not do it, as (pid, started_ticks)."""
        found: set[tuple[int, int]] = set()
        for member in self._members.values():
            if (handle := member.handle) is not None:
                found |= {(handle.pid, handle.started_ticks), *handle.seen}
        if (pid := self._zygote.pid) is not None and (stat := read_stat(pid)) is not None:
            found.add((pid, stat.started_ticks))
        return found

    def _report(self, member: Member, before: Phase) -> None:
        """Log the turns that an operator looks for."""
        worker, bot_id = member.worker, member.settings.id
        if worker.phase is before:
            return
        if worker.phase is Phase.FATAL:
            log.error("worker.given_up", bot=bot_id, reason=worker.reason)
        elif worker.phase is Phase.CAPACITY:
            log.warning("worker.refused", bot=bot_id, reason=worker.reason)
        elif worker.phase is Phase.DUMP:
            log.warning("worker.hung", bot=bot_id, generation=worker.generation, reason=worker.reason)
