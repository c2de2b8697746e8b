"""A fleet on stage: real zygote and workers, played-to router, pollers and ledger."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from brama.clock import monotonic_s
from brama.config.models import BotLimitsSection, HeartbeatSection, LimitsSection, RestartSection, StopSection
from brama.config.settings import BotSettings, Settings
from brama.ids import BotId, Generation, TelegramId
from brama.messages import Deliver
from supervisor.fleet.fleet import Fleet
from supervisor.fleet.policy.model import State
from supervisor.fleet.ports import JobDesk, Report, Send
from supervisor.fleet.records import MemberRecord
from supervisor.fleet.view import WorkerView
from supervisor.fleet.zygote_client import ZygoteClient
from supervisor.updates.policy.routing import RouteRecord
from tests.waiting import await_until

PLAIN_ZYGOTE = "tests.integration.fleet.plain_zygote"
IDENTITY = b'{"id":1001,"is_bot":true,"first_name":"Shop","username":"shop_bot"}'


def token(number: int) -> str:
    """Return a made-up token."""
    return f"{1000 + number}:AA" + "test" * 8


def bot(name: str, behaviour: str, folder: Path, *args: str, number: int = 1, **more: Any) -> BotSettings:
    """Return settings of a bot that does what ``behaviour`` of the plain zygote says."""
    folder.mkdir(parents=True, exist_ok=True)
    return BotSettings(
        id=BotId(name),
        token=SecretStr(token(number)),
        telegram_id=TelegramId(1000 + number),
        script=folder / f"{behaviour}.py",
        args=args,
        cwd=folder,
        **more,
    )


def settings(folder: Path, *bots: BotSettings, **sections: Any) -> Settings:
    """Return a configuration with short times, whose files are in ``folder``."""
    given: dict[str, Any] = {
        "heartbeat": HeartbeatSection(interval=0.1),
        "limits": LimitsSection(min_free_memory=0.0, start_timeout=20, worker_timeout=20),
        "restart": RestartSection(cooldown=0.2, budget=2),
        "stop": StopSection(timeout=20),
    }
    for place in ("state", "logs"):
        (folder / place).mkdir(exist_ok=True)
    return Settings(
        config_path=folder / "brama.yaml",
        project_root=folder,
        state_dir=folder / "state",
        logs_dir=folder / "logs",
        bots=bots,
        **{**given, **sections},
    )


limits, stopping, restarting, bot_limits = LimitsSection, StopSection, RestartSection, BotLimitsSection


@dataclass
class InFlight:
    count: int = 0
    oldest_at: float | None = None


@dataclass
class PlayedRouter:
    """Hands out what the test gives it, and notes what the fleet tells it."""

    sends: dict[BotId, Send] = field(default_factory=dict)
    reports: list[tuple[BotId, Report]] = field(default_factory=list)
    gone: list[tuple[BotId, bool]] = field(default_factory=list)
    taken_over: dict[BotId, RouteRecord] = field(default_factory=dict)
    charge: bool = False
    #: Since when bots have nothing to do, begun anew by each worker; who is not in here has.
    idle: dict[BotId, float] = field(default_factory=dict)
    #: Bots that updates wait for.
    waiting: set[BotId] = field(default_factory=set)

    def worker_ready(self, bot_id: BotId, generation: Generation, send: Send) -> None:
        assert bot_id not in self.sends, "a second worker beside one that is not gone"
        self.sends[bot_id] = send
        if bot_id in self.idle:
            self.idle[bot_id] = monotonic_s()

    def worker_draining(self, bot_id: BotId) -> None:
        pass

    def worker_said(self, bot_id: BotId, generation: Generation, message: Report) -> None:
        self.reports.append((bot_id, message))

    def worker_gone(self, bot_id: BotId, *, commanded: bool) -> bool:
        self.sends.pop(bot_id, None)
        self.gone.append((bot_id, commanded))
        return self.charge

    def in_flight(self, bot_id: BotId) -> InFlight:
        return InFlight()

    async def take_over(self, bot_id: BotId, generation: Generation, record: RouteRecord) -> None:
        self.taken_over[bot_id] = record

    def waits(self, bot_id: BotId) -> bool:
        return bot_id in self.waiting

    def idle_since(self, bot_id: BotId) -> float | None:
        return self.idle.get(bot_id)

    def deliver(self, bot_id: str, seq: int, raw: bytes = b"{}") -> None:
        self.sends[BotId(bot_id)]([Deliver(seq, seq, raw)])


@dataclass
class PlayedPollers:
    """Know every bot, at once."""

    open_for: set[BotId] = field(default_factory=set)
    allowed: dict[BotId, Sequence[str] | None] = field(default_factory=dict)
    fleet: Fleet | None = None

    def open(self, bot_id: BotId) -> None:
        assert bot_id not in self.open_for
        self.open_for.add(bot_id)
        assert self.fleet is not None
        self.fleet.identity_known(bot_id, IDENTITY)

    def close(self, bot_id: BotId) -> None:
        self.open_for.remove(bot_id)

    def set_allowed_updates(self, bot_id: BotId, allowed: Sequence[str] | None) -> None:
        self.allowed[bot_id] = allowed


@dataclass
class NotedRoll:
    """Who was told of which bots."""

    present: dict[BotId, BotSettings] = field(default_factory=dict)
    left: list[BotId] = field(default_factory=list)

    def enter(self, bot: BotSettings, settings: Settings) -> None:
        self.present[bot.id] = bot

    def leave(self, bot_id: BotId) -> None:
        del self.present[bot_id]
        self.left.append(bot_id)


@dataclass
class MemoryStore:
    """A state file in memory."""

    rows: dict[str, bytes] = field(default_factory=dict)

    async def remember(self, key: str, value: bytes) -> None:
        self.rows[key] = value

    async def forget(self, key: str) -> None:
        self.rows.pop(key, None)

    def recall(self, prefix: str) -> dict[str, bytes]:
        return {key: value for key, value in self.rows.items() if key.startswith(prefix)}


@dataclass
class Stage:
    """A running fleet and whoever plays with it."""

    fleet: Fleet
    zygote: ZygoteClient
    router: PlayedRouter
    pollers: PlayedPollers
    store: MemoryStore
    roll: NotedRoll
    handed_over: bool = False

    async def hand_over(self) -> list[MemberRecord]:
        """Let the fleet go; return what it leaves, as the next master reads it."""
        self.handed_over = True
        records = msgspec.msgpack.encode(await self.fleet.hand_over())
        return msgspec.msgpack.decode(records, type=list[MemberRecord])

    def view(self, bot_id: str = "shop") -> WorkerView:
        return next(view for view in self.fleet.views() if view.bot_id == bot_id)

    def state(self, bot_id: str = "shop") -> State:
        return self.view(bot_id).state

    async def reaches(self, state: State, bot_id: str = "shop", timeout_s: float = 30.0) -> WorkerView:
        """Wait until a bot is in ``state``."""
        await await_until(lambda: self.state(bot_id) is state, timeout_s, f"{bot_id} to be {state}")
        return self.view(bot_id)

    async def all_reach(self, state: State, timeout_s: float = 60.0) -> None:
        """Wait until every bot is in ``state``."""
        await await_until(
            lambda: all(view.state is state for view in self.fleet.views()), timeout_s, f"all {state}"
        )

    async def outlives(self, pid: int | None, bot_id: str = "shop") -> WorkerView:
        """Wait until another process than ``pid`` runs the bot."""
        await await_until(
            lambda: self.state(bot_id) is State.RUNNING and self.view(bot_id).pid != pid,
            what="the next worker",
        )
        return self.view(bot_id)


@asynccontextmanager
async def staged(
    configuration: Settings,
    store: MemoryStore | None = None,
    module: str = PLAIN_ZYGOTE,
    cores: int = 2,
    left: Sequence[MemberRecord] | None = None,
    desk: JobDesk | None = None,
) -> AsyncIterator[Stage]:
    """Start a fleet, or have it go on with what another has left, and end it whatever happens.

    One that has handed over is not ended: its processes are another's.
    """
    store = store or MemoryStore()
    router, pollers, roll = PlayedRouter(), PlayedPollers(), NotedRoll()
    tasks: set[asyncio.Task[None]] = set()

    def spawn(coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    zygote = ZygoteClient(configuration.zygote.preload, configuration.project_root, os.environ, module=module)
    fleet = Fleet(
        configuration,
        delivery=router,
        ingress=pollers,
        roll=roll,
        zygote=zygote,
        store=store,
        spawn=spawn,
        environ=dict(os.environ),
        cores=cores,
        desk=desk,
    )
    pollers.fleet = fleet
    stage = Stage(fleet, zygote, router, pollers, store, roll)
    try:
        await (fleet.start() if left is None else fleet.take_over(left, {}))
        yield stage
    finally:
        if not stage.handed_over:
            await fleet.stop(0.0)


def lives(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
