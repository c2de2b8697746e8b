"""Pollers on a real sandbox, with an intake and a ledger whose answers a test decides."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from brama.config.models import DeliverySection, TelegramSection
from brama.config.settings import BotSettings, Settings
from brama.ids import BotId, TelegramId
from supervisor.updates.bot_api import Deadlines
from supervisor.updates.ingress import IngressState, IngressStatus
from supervisor.updates.ingresses import Ingresses
from supervisor.updates.model import Acceptance, Backlog, CommitFailedError, Source, Verdict
from supervisor.updates.policy.decoding import Decoded, decode
from tests.fixtures.sandbox import RunningSandbox, make_token
from tests.waiting import await_until

#: Small enough for a test, large enough for a busy machine.
DEADLINES = Deadlines(connect_s=1.0, answer_s=1.0, body_s=1.0)


@dataclass
class FakeIntake:
    """Takes updates as the real one does; ``fault`` is raised instead, ``gate`` holds commits back."""

    batches: list[tuple[str, list[int]]] = field(default_factory=list)
    fault: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    began: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def accept(self, bot_id: BotId, source: Source, raws: Sequence[bytes]) -> Acceptance:
        self.began += 1
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        ids = [parts.update_id for parts in map(decode, raws) if parts.update_id is not None]
        self.batches.append((bot_id, [int(update_id) for update_id in ids]))
        malformed = sum(not isinstance(decode(raw), Decoded) for raw in raws)
        return Acceptance(ids[-1] if ids else None, len(ids), 0, 0, malformed)

    async def accept_one(self, bot_id: BotId, source: Source, raw: bytes) -> Verdict | None:
        accepted = await self.accept(bot_id, source, [raw])
        return None if accepted.malformed else Verdict.QUEUED

    def ids(self, bot_id: str = "bot1") -> list[int]:
        """All update ids that were committed for a bot, repeats included."""
        return [update_id for name, ids in self.batches if name == bot_id for update_id in ids]


@dataclass
class FakeLedger:
    """A backlog that a test sets, and a memory."""

    memory: dict[str, bytes] = field(default_factory=dict)
    waiting: Backlog = field(default_factory=lambda: Backlog(0, 0))
    looks: int = 0
    fault: Exception | None = None
    stalled: str | None = None

    def backlog(self, source: Source) -> Backlog:
        self.looks += 1
        return self.waiting

    def recall_one(self, key: str) -> bytes | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.memory[key] = value


@dataclass
class Observed:
    """What the fleet would be told."""

    identities: list[tuple[str, bytes]] = field(default_factory=list)
    rejections: list[tuple[str, int, str]] = field(default_factory=list)
    unreachable: list[tuple[str, str]] = field(default_factory=list)

    def identity_known(self, bot_id: BotId, identity: bytes) -> None:
        self.identities.append((bot_id, identity))

    def token_rejected(self, bot_id: BotId, status: int, detail: str) -> None:
        self.rejections.append((bot_id, status, detail))

    def identity_unreachable(self, bot_id: BotId, detail: str) -> None:
        self.unreachable.append((bot_id, detail))


def make_settings(base_url: str, bots: int, delivery: DeliverySection, **changes: Any) -> Settings:
    """Return settings of bots ``bot1``, ``bot2``, ... with the Telegram ids 1001, 1002, ..."""
    root = Path("/nowhere")
    return Settings(
        config_path=root / "brama.yaml",
        project_root=root,
        state_dir=root,
        logs_dir=root,
        telegram=TelegramSection(base_url=base_url),
        delivery=delivery,
        bots=tuple(
            BotSettings(
                id=BotId(f"bot{number}"),
                token=SecretStr(make_token(1000 + number)),
                telegram_id=TelegramId(1000 + number),
                script=root / "bot.py",
                cwd=root,
                **changes,
            )
            for number in range(1, bots + 1)
        ),
    )


async def pause(seconds: float) -> None:
    """Stand for the pollers' own waits, which are what they do and not what a test waits for."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


class Stage:
    """One set of pollers and what is around it; their own waits are ``haste`` times shorter."""

    def __init__(
        self,
        sandbox: RunningSandbox,
        *,
        bots: int = 1,
        base_url: str | None = None,
        jitter: float = 0.0,
        poll_timeout_s: float = 50.0,
        deadlines: Deadlines = DEADLINES,
        delivery: DeliverySection | None = None,
        haste: float = 10.0,
        intake: Any = None,
        ledger: Any = None,
        **changes: Any,
    ) -> None:
        self.sandbox = sandbox
        self.control = sandbox.control
        self.intake = intake or FakeIntake()
        self.ledger = ledger or FakeLedger()
        self.observed = Observed()
        self.settings = settings = make_settings(
            base_url or sandbox.base_url, bots, delivery or DeliverySection(), **changes
        )
        self.source = Source(TelegramId(1001), settings.telegram.base_url)
        self.pollers = Ingresses(
            settings,
            self.intake,
            self.ledger,
            jitter=lambda: jitter,
            sleep=lambda seconds: pause(seconds / haste),
            poll_timeout_s=poll_timeout_s,
            deadlines=deadlines,
        )
        self.pollers.report_to(self.observed)
        for bot in settings.bots:
            self.pollers.put(bot, settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pollers.aclose()

    def open(self, number: int = 1) -> None:
        self.pollers.open(BotId(f"bot{number}"))

    def close(self, number: int = 1) -> None:
        self.pollers.close(BotId(f"bot{number}"))

    def status(self, number: int = 1) -> IngressStatus:
        return self.pollers.states()[BotId(f"bot{number}")]

    def write(self, count: int = 1, bot: int = 1) -> list[int]:
        """Let a person write ``count`` messages; returns their update ids."""
        return self.control.send_messages(1000 + bot, 7, "{n}", count=count).update_ids

    def calls(self, method: str, bot: int = 1) -> int:
        return self.control.state(1000 + bot).calls.get(method, 0)

    def polls(self, bot: int = 1) -> int:
        """How many polls the sandbox holds open."""
        return self.control.state(1000 + bot).open_polls

    async def until(self, state: IngressState, number: int = 1) -> IngressStatus:
        """Wait for a state."""
        await await_until(lambda: self.status(number).state is state, what=f"bot{number} is {state}")
        return self.status(number)

    async def until_polling(self, number: int = 1) -> None:
        """Wait until a poll of the bot is held open."""
        await await_until(lambda: self.polls(number) == 1, what=f"bot{number} polls")

    async def until_committed(self, ids: Sequence[int], number: int = 1) -> None:
        """Wait until all of ``ids`` were committed at least once."""
        wanted, name = set(ids), f"bot{number}"
        await await_until(lambda: wanted <= set(self.intake.ids(name)), what=f"{name} got {sorted(wanted)}")

    async def until_confirmed(self, ids: Sequence[int], bot: int = 1) -> None:
        """Wait until Telegram was told that it may forget ``ids``."""

        def confirmed() -> bool:
            states = {update.update_id: update.confirmed for update in self.control.updates(1000 + bot)}
            return all(states[update_id] for update_id in ids)

        await await_until(confirmed, what=f"{ids} are confirmed")


def disk_full() -> CommitFailedError:
    return CommitFailedError("the disk is full")
