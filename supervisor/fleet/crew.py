"""Holds the processes of all bots, and turns what they say and how they end into events.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from multiprocessing.connection import Connection

from brama.child_process import Exit
from brama.clock import Clock
from brama.config.settings import Settings
from brama.errors import BramaError
from brama.ids import BotId, Generation
from brama.log import get_logger
from brama.marks import instance_of
from brama.messages import (
    Begun,
    BootFailed,
    Dozing,
    Enqueue,
    EnqueueAgain,
    Failed,
    FromWorker,
    Heartbeat,
    HeartbeatChanged,
    Hello,
    Notice,
    Processed,
    Ready,
    Released,
    Returned,
    SettingsChanged,
    StaysAwake,
)
from supervisor.fleet.boot import MEMORY_GUARD, Told, build_boot, told_of
from supervisor.fleet.gate import BOOTS_PER_CORE, Gate
from supervisor.fleet.job_clerk import JobClerk
from supervisor.fleet.linux import move_data_limit, read_rss_anon_bytes, read_stat
from supervisor.fleet.member import Member
from supervisor.fleet.policy import events, reasons
from supervisor.fleet.policy.events import Event
from supervisor.fleet.policy.model import Phase
from supervisor.fleet.ports import Birth, Delivery, Ingress, JobDesk, Zygote
from supervisor.fleet.records import MemberRecord, ProcessRecord, final_record
from supervisor.fleet.rounds import Rounds
from supervisor.fleet.strays import Strays
from supervisor.fleet.worker_handle import Past, WorkerHandle

Tell = Callable[[Member, Event], None]
_QUEUED = "waits for its turn to boot"
log = get_logger(__name__)


class Crew:
    """One process at most for each member.

    Args:
        settings: the configuration.
        members: all bots.
        delivery: the router.
        ingress: the pollers.
        zygote: forks workers.
        environ: the master's environment.
        cores: of the machine.
        clock: monotonic seconds.
        tell: decides and applies an event of a member.
        on_change: called when a process came or went.
        desk: takes the jobs over that bots ask for.
    """

    def __init__(
        self,
        settings: Settings,
        members: Mapping[BotId, Member],
        *,
        delivery: Delivery,
        ingress: Ingress,
        zygote: Zygote,
        environ: Mapping[str, str],
        cores: int,
        clock: Clock,
        tell: Tell,
        on_change: Callable[[], None],
        is_others: Callable[[int], bool],
        desk: JobDesk | None = None,
    ) -> None:
        self.settings = settings
        self._members = members
        self._delivery = delivery
        self._ingress = ingress
        self._zygote = zygote
        self._environ = dict(environ)  # os.environ decodes each name and value anew
        self._clock = clock
        self._tell = tell
        self._on_change = on_change
        self._is_others = is_others
        self._loop = asyncio.get_running_loop()
        self._clerk = JobClerk(desk, self._loop)
        self._instance = instance_of(settings.state_dir)
        self._pids: set[int] = set()
        self._strays = Strays(
            self._loop, self._instance, self._is_watched, lambda: not self._zygote.owes_answers
        )
        self._gate = Gate(self._loop, BOOTS_PER_CORE * cores, self._ask_zygote)
        self._rounds = Rounds(self._loop, self._with_process, self._look_at)

    def start(self) -> None:
        """Begin to take the memory of processes, whenever there are some."""
        self._rounds.start()

    def stop(self) -> None:
        """Look after processes no more; there is none left."""
        self._rounds.stop()
        self._clerk.stop()
        self._strays.reap_orphans()

    def tidy(self) -> None:
        """Reap what daemons of bots left dead."""
        self._strays.reap_orphans()

    def processes(self) -> Iterable[tuple[int, int]]:
        """Return all processes that are to be ended should this master not do it, as (pid, started_ticks)."""
        found: set[tuple[int, int]] = set()
        for member in self._members.values():
            if (handle := member.handle) is not None:
                found |= {(handle.pid, handle.started_ticks), *handle.seen}
        if (pid := self._zygote.pid) is not None and (stat := read_stat(pid)) is not None:
            found.add((pid, stat.started_ticks))
        return found

    # --- birth ----------------------------------------------------------------------------------

    def spawn(self, member: Member, generation: Generation) -> None:
        """Have a process forked when the bot's turn comes; answered by SpawnSucceeded or SpawnFailed."""
        self._gate.enter(member.settings.id, generation)

    def cancel(self, member: Member, generation: Generation) -> None:
        """Withdraw the fork if the zygote has not been asked; answered by SpawnFailed then."""
        if self._gate.withdraw(member.settings.id):
            self._tell(member, events.SpawnFailed("withdrawn"))
        else:
            self._zygote.withdraw(member.settings.id, generation)

    def why_waiting(self, bot_id: BotId) -> str | None:
        """Return why a fork that was asked for is not there yet; None: it is on its way."""
        return _QUEUED if self._gate.is_waiting(bot_id) else self._zygote.trouble

    def boot(self, member: Member, handle: WorkerHandle) -> str | None:
        """Tell a new process which bot it is; return why that cannot be done, None: it was."""
        assert member.identity is not None, "identity comes first"
        boot = build_boot(
            self.settings,
            member.settings,
            Generation(member.worker.generation),
            instance=self._instance,
            identity=member.identity,
            environ=self._environ,
            memory_cap_bytes=member.limits.memory_bytes,
            uid=member.uid,
        )
        try:
            handle.send([boot])
        except (BramaError, TypeError, ValueError, OverflowError) as error:
            return f"bots[].settings cannot be handed to the bot: {error}"
        return None

    def retell(self, member: Member, told: Told) -> None:
        """Tell a living process what has changed of ``told`` and can be taken in without a new one."""
        handle, now = member.handle, told_of(member, self.settings)
        if handle is None or member.worker.phase not in (Phase.BOOT, Phase.SERVE):
            return
        if now.heartbeat_interval_s != told.heartbeat_interval_s:
            handle.send([HeartbeatChanged(now.heartbeat_interval_s)])
        if now.settings != told.settings:
            try:
                handle.send([SettingsChanged(dict(now.settings))])
            except (BramaError, TypeError, ValueError, OverflowError) as error:
                log.error("bot.settings_unsent", bot=member.settings.id, detail=str(error))
        if now.memory_bytes != told.memory_bytes and member.worker.phase is Phase.SERVE:
            try:
                move_data_limit(handle.pid, MEMORY_GUARD * (now.memory_bytes - told.memory_bytes))
            except OSError as error:  # the samples judge by the new cap all the same
                log.info("worker.guard_kept", bot=member.settings.id, detail=error.strerror)

    def _ask_zygote(self, bot_id: BotId, generation: Generation) -> None:
        if (member := self._members.get(bot_id)) is not None:
            self._zygote.fork(bot_id, generation, partial(self._born, member, generation))

    def adopt(self, member: Member, record: ProcessRecord) -> None:
        """Go on with a process that the master before had.

        Raises:
            OSError: it cannot be watched.
        """
        generation = Generation(member.worker.generation)
        birth = Birth(record.pid, Connection(record.pipe))
        member.handle = self._watch(member, generation, birth, record.past)
        member.delivering, member.shared_bytes = record.delivering, record.shared_bytes
        if record.unanswered_jobs:
            member.handle.send([EnqueueAgain(list(record.unanswered_jobs))])

    async def wait_buried(self) -> None:
        """Wait until nothing is left of any process that has ended."""
        await self._strays.wait_ended()

    def let_go(self) -> None:
        """Look after nothing any more; the processes go on under another master."""
        self._rounds.stop()
        self._strays.stop()

    def final_record(self, member: Member) -> MemberRecord:
        """Let go of a bot's process; return what the next master has to know of the bot."""
        generation = Generation(member.worker.generation)
        return final_record(member, self._clerk.unanswered(member.settings.id, generation))

    def stop_answering(self) -> None:
        """Enqueue nothing more for bots."""
        self._clerk.stop()

    def _born(self, member: Member, generation: Generation, outcome: Birth | str) -> None:
        bot_id = member.settings.id
        if isinstance(outcome, str):
            self._gate.leave(bot_id)
            self._tell(member, events.SpawnFailed(outcome))
            return
        try:
            member.handle = self._watch(member, generation, outcome)
        except OSError as error:  # its pipe's end ends it: without a Boot it is nobody
            outcome.pipe.close()
            self._gate.leave(bot_id)
            self._tell(member, events.SpawnFailed(f"its process cannot be watched: {error.strerror}"))
            return
        member.shared_bytes = self._zygote.memory_bytes
        member.memory_bytes, member.heartbeat_at = 0, None
        self._on_change()
        log.info("worker.started", bot=bot_id, generation=generation, pid=outcome.pid)
        self._tell(member, events.SpawnSucceeded(outcome.pid))

    def _watch(
        self, member: Member, generation: Generation, birth: Birth, past: Past | None = None
    ) -> WorkerHandle:
        handle = WorkerHandle(
            self._loop,
            member.settings.id,
            birth,
            self._strays,
            on_message=partial(self._heard, member, generation),
            on_broken=lambda reason: self._tell(member, events.LinkBroken(reason)),
            on_gone=partial(self._gone, member),
            past=past,
        )
        self._pids.add(birth.pid)
        return handle

    # --- life -----------------------------------------------------------------------------------

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
                self._ready(member, generation, allowed)
            case BootFailed(cause, detail):
                log.warning("worker.boot_failed", bot=bot_id, cause=cause, detail=detail)
                self._tell(member, events.BootFailed(cause != "network", detail))
            case Dozing():
                self._tell(member, events.SleepAgreed())
            case StaysAwake(reason):
                self._tell(member, events.SleepRefused(reason))
            case Notice(code, text):
                log.warning("bot.warned", bot=bot_id, code=code, text=text)
            case Enqueue() if member.handle is not None:
                base_url = self.settings.telegram.base_url
                self._clerk.take(member.settings, base_url, generation, message, member.handle.send)

    def _ready(self, member: Member, generation: Generation, allowed: list[str] | None) -> None:
        bot_id, handle = member.settings.id, member.handle
        if member.worker.phase is Phase.BOOT and handle is not None:
            boot_ms = round((self._clock() - handle.started_at) * 1000)
            log.info("worker.ready", bot=bot_id, generation=generation, boot_ms=boot_ms)
        member.has_asked, member.allowed_updates = True, allowed
        self._ingress.set_allowed_updates(bot_id, allowed)
        self._gate.leave(bot_id)
        self._tell(member, events.ReadyReceived())

    def _look_at(self, bot_id: BotId) -> None:
        """Take one worker's memory, and note its descendants."""
        member = self._members.get(bot_id)
        handle = member.handle if member is not None else None
        if member is None or handle is None or (anonymous := read_rss_anon_bytes(handle.pid)) is None:
            return
        private_bytes = max(anonymous - member.shared_bytes, 0)
        if member.heartbeat_at is None:
            member.memory_bytes = private_bytes
        seen = handle.seen
        handle.look_around()
        if handle.seen != seen:
            self._on_change()
        self._tell(member, events.MemorySampled(private_bytes))

    # --- death ----------------------------------------------------------------------------------

    def _gone(self, member: Member, exited: Exit) -> None:
        bot_id, worker, handle = member.settings.id, member.worker, member.handle
        assert handle is not None
        in_flight, charged = 0, False
        if member.delivering:
            in_flight = self._delivery.in_flight(bot_id).count
            charged = self._delivery.worker_gone(bot_id, commanded=worker.commanded)
        self._pids.discard(handle.pid)
        member.unfinished = in_flight if worker.commanded else 0
        member.handle, member.delivering = None, False
        member.memory_bytes, member.heartbeat_at = 0, None
        self._gate.leave(bot_id)
        self._on_change()
        say = log.info if worker.commanded else log.warning
        say(
            "worker.exited",
            bot=bot_id,
            generation=worker.generation,
            pid=handle.pid,
            **({"code": exited.code} if exited.signal is None else {"signal": exited.signal}),
            reason=worker.reason or reasons.describe_exit(exited.code, exited.signal),
            uptime_s=round(self._clock() - handle.started_at, 3),
            in_flight=in_flight,
            charged=charged,
        )
        self._tell(member, events.WorkerExited(exited.code, exited.signal, charged))

    def _with_process(self) -> Iterable[BotId]:
        return [bot_id for bot_id, member in self._members.items() if member.handle is not None]

    def _is_watched(self, pid: int) -> bool:
        return pid == self._zygote.pid or pid in self._pids or self._is_others(pid)
