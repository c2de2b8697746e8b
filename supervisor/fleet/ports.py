"""What the fleet needs of the rooms around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from brama.config.settings import BotSettings, Settings
from brama.ids import BotId, Generation
from brama.messages import Begun, Failed, Processed, Released, Returned, ToWorker, Warm
from supervisor.updates.policy.job_entries import JobOrigin
from supervisor.updates.policy.routing import RouteRecord

Send = Callable[[Sequence[ToWorker]], None]
Report = Begun | Released | Processed | Failed | Returned


@dataclass(frozen=True, slots=True)
class Birth:
    """A process that the zygote forked, unnamed until its Boot is sent through ``pipe``."""

    pid: int
    pipe: "Connection[Any, Any]"


#: Told once: the process, or why there is none.
Answer = Callable[[Birth | str], None]


class InFlight(Protocol):
    """What a worker holds unacknowledged."""

    @property
    def count(self) -> int: ...
    @property
    def oldest_at(self) -> float | None: ...


class Delivery(Protocol):
    """Who hands updates to workers: the router."""

    def worker_ready(self, bot_id: BotId, generation: Generation, send: Send) -> None: ...
    def worker_draining(self, bot_id: BotId) -> None: ...
    def worker_said(self, bot_id: BotId, generation: Generation, message: Report) -> None: ...
    def worker_gone(self, bot_id: BotId, *, commanded: bool) -> bool: ...
    def in_flight(self, bot_id: BotId) -> InFlight: ...
    async def take_over(self, bot_id: BotId, generation: Generation, record: RouteRecord) -> None: ...
    def waits(self, bot_id: BotId) -> bool: ...
    def idle_since(self, bot_id: BotId) -> float | None: ...


class Ingress(Protocol):
    """Who fetches updates: the pollers."""

    def open(self, bot_id: BotId) -> None: ...
    def close(self, bot_id: BotId) -> None: ...
    def set_allowed_updates(self, bot_id: BotId, allowed: Sequence[str] | None) -> None: ...


class Roll(Protocol):
    """Who is told which bots there are: whatever else the master keeps for each."""

    def enter(self, bot: BotSettings, settings: Settings) -> None: ...
    def leave(self, bot_id: BotId) -> None: ...


class Store(Protocol):
    """Who keeps small values over restarts of the master: the ledger."""

    async def remember(self, key: str, value: bytes) -> None: ...
    async def forget(self, key: str) -> None: ...
    def recall(self, prefix: str) -> dict[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class JobOrder:
    """A job that a bot asks for.

    Attributes:
        name: its type.
        queue: where it is to wait.
        key: no other job of this queue and type has it, but one that this very bot has asked for with the
            same words: asking again changes nothing and gets the same id.
        data: the payload, anything JSON can say.
        priority: 1 (first) up to MAX_PRIORITY; 0, the default, goes before all of them.
        delay_ms: it is not started earlier.
        origin: who asks, to be given back with the job's end.
    """

    name: str
    queue: str
    key: str
    data: Any
    priority: int
    delay_ms: int
    origin: JobOrigin


class JobDesk(Protocol):
    """Who takes jobs over: the job queue's producer."""

    async def enqueue(self, order: JobOrder) -> str:
        """Return the job's id once it is stored for good.

        Raises:
            BramaError: it was not; the text is one line for the bot's author.
        """


class Zygote(Protocol):
    """Who forks workers."""

    def fork(self, bot_id: BotId, generation: Generation, answer: Answer) -> None: ...
    def withdraw(self, bot_id: BotId, generation: Generation) -> None: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def owes_answers(self) -> bool: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def trouble(self) -> str | None: ...
    async def wait_warm(self) -> Warm: ...
    async def aclose(self) -> None: ...
