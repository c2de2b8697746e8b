"""Gathers what a master leaves, in the order in which it lets go.

Clients wait from the first step on, bots from the third; both go on under the next master.

Runs in: master.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from brama.ids import BotId
from brama.log import get_logger
from supervisor.fleet.records import MemberRecord
from supervisor.handover.records import ControlRecord, Handover, WebhookRecord
from supervisor.job_workers.records import JobsRecord
from supervisor.updates.policy.message_window import MessageKey
from supervisor.updates.policy.routing import RouteRecord

#: Longest wait for acknowledgements to be written: a disk that takes longer is full, or stuck.
SETTLE_S = 5.0
log = get_logger(__name__)


class Front(Protocol):
    """The webhook server."""

    def draft(self) -> WebhookRecord | None: ...
    async def hand_over(self) -> WebhookRecord | None: ...


class Ingresses(Protocol):
    """What fetches updates."""

    async def aclose(self) -> None: ...


class Router(Protocol):
    """What hands updates to workers."""

    def hold(self) -> None: ...
    def hand_over(self) -> dict[BotId, RouteRecord]: ...


class Fleet(Protocol):
    """The bots' processes."""

    def draft(self) -> list[MemberRecord]: ...
    async def hand_over(self) -> list[MemberRecord]: ...


class Jobs(Protocol):
    """The job queue."""

    def draft(self) -> JobsRecord: ...
    async def hand_over(self) -> JobsRecord: ...


class Ledger(Protocol):
    """The inbox."""

    async def settle(self) -> None: ...
    @property
    def unsettled(self) -> Sequence[int]: ...


class Window(Protocol):
    """The message window."""

    @property
    def noted(self) -> list[tuple[MessageKey, float]]: ...


class Control(Protocol):
    """The control API."""

    def hand_over(self) -> tuple[int, int]: ...


class Lock(Protocol):
    """The lock of the state directory."""

    def hand_over(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Who leaves something."""

    front: Front
    ingresses: Ingresses
    router: Router
    fleet: Fleet
    jobs: Jobs | None
    ledger: Ledger
    window: Window
    control: Control
    lock: Lock


class Estate:
    """What a master leaves.

    Args:
        facts: what is known from the beginning: a handover without bots and file descriptors.
    """

    def __init__(self, facts: Handover) -> None:
        self._facts = facts
        #: Who leaves something; to be set before anything is asked.
        self.parts: Parts

    def draft(self) -> Handover:
        """Return what would be left now, without file descriptors and what is halfway through pipes."""
        parts = self.parts
        return msgspec.structs.replace(
            self._facts,
            webhook=parts.front.draft(),
            bots=parts.fleet.draft(),
            jobs=None if parts.jobs is None else parts.jobs.draft(),
            noted=list(parts.window.noted),
        )

    async def collect(self) -> Handover:
        """Let go of everything and return it. What has begun is finished first, and what ended is written."""
        parts, facts = self.parts, self._facts
        webhook = await parts.front.hand_over()
        await parts.ingresses.aclose()
        parts.router.hold()
        bots = await parts.fleet.hand_over()  # first: what bots have asked the queue for is asked again
        jobs = None if parts.jobs is None else await parts.jobs.hand_over()
        routes = parts.router.hand_over()
        try:
            async with asyncio.timeout(SETTLE_S):
                await parts.ledger.settle()
        except TimeoutError:
            log.warning("inbox.unsettled", updates=len(parts.ledger.unsettled))
        unix, tcp = parts.control.hand_over()
        return msgspec.structs.replace(
            facts,
            bots=bots,
            jobs=jobs,
            routes={str(bot_id): route for bot_id, route in routes.items()},
            webhook=webhook,
            control=ControlRecord(facts.control.host, facts.control.port, unix, tcp),
            lock=parts.lock.hand_over(),
            noted=list(parts.window.noted),
            unsettled=list(parts.ledger.unsettled),
        )
