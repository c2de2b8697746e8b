"""The running master as the control API sees it: what it says of itself, and what can be asked of it.

Runs in: master.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from brama.clock import Clock
from brama.errors import BramaError
from brama.ids import BotId, TelegramId
from supervisor.control.jobs_status import JobsStatus
from supervisor.control.policy.progress import UP
from supervisor.control.policy.words import describe_unrenewed
from supervisor.control.ports import BotTouch, CommandResult, Health, ReloadResult, RestartResult, Verb
from supervisor.control.status import (
    MasterState,
    MasterStatus,
    OrphanStatus,
    PlatformStatus,
    Status,
    Totals,
    WebhookStatus,
    WorkerStatus,
)
from supervisor.fleet.fleet import Fleet
from supervisor.fleet.policy.model import State
from supervisor.fleet.view import WorkerView
from supervisor.handover.restarter import Restarter
from supervisor.reload.reloader import Reloader
from supervisor.roster import Roster
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.ingress import IngressStatus
from supervisor.updates.ingresses import Ingresses
from supervisor.updates.model import DeadLetter, Tally
from supervisor.updates.router import Router

_NOTHING = Tally(0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a master is made of.

    Attributes:
        fleet: the bots' processes.
        ingresses: their intake.
        ledger: the inbox.
        router: what is in flight.
        roster: which bots there are, and whose updates are whose.
        reloader: the configuration that runs.
        restarter: replaces the master by another.
        webhook: how the webhook server stands, None: there is none.
        platform: how the platform's API stands, None: there is none.
        jobs: how the job queue stands, None: there is none.
    """

    fleet: Fleet
    ingresses: Ingresses
    ledger: Ledger
    router: Router
    roster: Roster
    reloader: Reloader
    restarter: Restarter
    webhook: Callable[[], WebhookStatus | None]
    platform: Callable[[], PlatformStatus | None]
    jobs: Callable[[], JobsStatus | None]


class RunningMaster:
    """Answers for all parts together.

    Args:
        parts: whom it asks.
        version: the product's version.
        monotonic: clock of uptimes and ages.
        stop: begins the graceful stop.
        started_at: when the first of the masters that replaced one another was started, monotonic seconds.
        hot_restarts: how often that has happened.
    """

    def __init__(
        self,
        parts: Parts,
        version: str,
        *,
        monotonic: Clock,
        stop: Callable[[], None],
        started_at: float,
        hot_restarts: int,
    ) -> None:
        self._parts = parts
        self._version = version
        self._monotonic = monotonic
        self._started_at = started_at
        self._hot_restarts = hot_restarts
        self._stop = stop
        self.state = MasterState.STARTING

    def status(self) -> Status:
        """Return a snapshot of everything."""
        parts, now = self._parts, self._monotonic()
        ingress = parts.ingresses.states()
        tallies = {bot: parts.ledger.tally(source) for bot, source in parts.roster.sources.items()}
        workers = tuple(
            self._worker(view, ingress[view.bot_id], tallies, now) for view in parts.fleet.views()
        )
        if self.state is MasterState.STARTING and not any(worker.state == "STARTING" for worker in workers):
            self.state = MasterState.RUNNING
        totals = Totals(
            bots=len(workers),
            running=sum(worker.state == State.RUNNING for worker in workers),
            inbox=sum(worker.inbox for worker in workers),
            dead_letters=sum(tally.dead_letters for tally in tallies.values()),
            duplicates=sum(tally.dropped + tally.repeated for tally in tallies.values()),
            sleeping=sum(worker.state == State.SLEEPING for worker in workers),
        )
        orphans = tuple(
            OrphanStatus(orphan.telegram_id, orphan.bot_id, orphan.inbox, orphan.dead_letters)
            for orphan in parts.roster.orphans()
        )
        return Status(
            self._master(now), totals, workers, orphans, parts.webhook(), parts.platform(), parts.jobs()
        )

    def _master(self, now: float) -> MasterStatus:
        renewal = self._parts.fleet.renewal
        unrenewed = [] if renewal.failure is None else [describe_unrenewed(len(renewal), renewal.failure)]
        return MasterStatus(
            pid=os.getpid(),
            version=self._version,
            uptime_ms=_ms(now - self._started_at),
            state=self.state,
            config=str(self._parts.reloader.settings.config_path),
            reload_problems=tuple((self._parts.reloader.failure or "").splitlines()),
            hot_restarts=self._hot_restarts,
            renewing=len(renewal),
            restart_problems=(*(self._parts.restarter.failure or "").splitlines(), *unrenewed),
            renewal_obstacle=renewal.obstacle,
            cut_short=tuple(renewal.cut_short),
        )

    def _worker(
        self, view: WorkerView, ingress: IngressStatus, tallies: Mapping[BotId, Tally], now: float
    ) -> WorkerStatus:
        router = self._parts.router
        in_flight = router.in_flight(view.bot_id)
        idle_since = router.idle_since(view.bot_id) if view.ready else None
        return WorkerStatus(
            bot_id=view.bot_id,
            state=view.state,
            wanted=view.wanted,
            # Of a bot that is up, trouble with its intake matters more than what keeps it awake.
            reason=(ingress.detail or view.reason if view.state in UP else view.reason or ingress.detail)
            or None,
            mode=ingress.mode,
            ingress=ingress.state,
            pid=view.pid,
            generation=view.generation,
            messages=view.messages,
            errors=view.errors,
            restarts=view.restarts,
            uptime=0 if view.started_at is None else _ms(now - view.started_at),
            memory_bytes=view.memory_bytes,
            heartbeat_age_ms=None if view.heartbeat_at is None else _ms(now - view.heartbeat_at),
            in_flight=in_flight.count,
            oldest_in_flight_ms=0 if in_flight.oldest_at is None else _ms(now - in_flight.oldest_at),
            inbox=tallies.get(view.bot_id, _NOTHING).waiting,
            mode_configured=view.mode,
            switches=ingress.switches,
            telegram_pending=ingress.pending,
            telegram_error=ingress.telegram_error,
            overridden=view.is_overridden,
            origin=view.origin,
            idle_timeout_ms=None if view.idle_timeout_s is None else _ms(view.idle_timeout_s),
            idle_ms=None if idle_since is None else _ms(now - idle_since),
            wakes=view.wakes,
        )

    def health(self) -> Health:
        """Return whether updates are taken in and handed out."""
        if self.state is MasterState.STOPPING:
            return Health(False, self.state, "the master is stopping")
        if (stalled := self._parts.ledger.stalled) is not None:
            return Health(False, "stalled", stalled)
        return Health(True, self.state)

    async def command(self, verb: Verb, bots: Sequence[str] | None) -> list[CommandResult]:
        """Start, stop or restart bots; returns once what is wanted of them is durable."""
        if self.state is MasterState.STOPPING:
            raise BramaError("the master is stopping; start it again first")
        fleet = self._parts.fleet
        ids = [view.bot_id for view in fleet.views()] if bots is None else [BotId(bot) for bot in bots]
        refused = await fleet.command(verb.value, ids)
        views = {view.bot_id: view for view in fleet.views()}
        return [
            CommandResult(bot, views[bot].state, refused.get(bot, views[bot].reason or ""))
            for bot in ids
            if bot in views
        ]

    async def reload(self, *, dry_run: bool) -> ReloadResult:
        """Take the configuration as it is now into use, or say what that would do."""
        plan, warnings = await self._parts.reloader.reload(dry_run=dry_run)
        touched = tuple(BotTouch(change.bot_id, change.action, change.keys) for change in plan.bots)
        return ReloadResult(touched, plan.applied, plan.waiting, tuple(warnings))

    async def restart(self) -> RestartResult:
        """Begin a hot restart; returns when the next master has proven itself."""
        restarter, settings = self._parts.restarter, self._parts.reloader.settings
        proof = await restarter.restart()
        patience_s = settings.stop.timeout + settings.limits.start_timeout
        return RestartResult(
            os.getpid(), proof.version, self._hot_restarts, restarter.retiring, patience_s=patience_s
        )

    async def drop_orphan(self, telegram_id: int) -> int:
        """Purge what is kept of a bot that is not configured."""
        return await self._parts.roster.drop_orphan(TelegramId(telegram_id))

    async def dead_letters(self, bot: str | None, limit: int, before: int | None) -> Sequence[DeadLetter]:
        """Return dead letters, youngest first."""
        bot_id = None if bot is None else BotId(bot)
        return await self._parts.ledger.dead_letters(bot_id, limit=limit, before=before)

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        """Return one dead letter with its body."""
        return await self._parts.ledger.dead_letter(letter_id)

    async def replay(self, letter_ids: Sequence[int]) -> int:
        """Put dead letters at the tail of their bots' queues."""
        parts = self._parts
        letters = {letter_id: await parts.ledger.dead_letter(letter_id) for letter_id in letter_ids}
        replayed = await parts.ledger.replay(letter_ids)
        bot_of = {source: bot_id for bot_id, source in parts.roster.sources.items()}
        for letter, (_, row) in zip(letters.values(), replayed, strict=True):
            # Whose update it is says the source: the label may belong to another token by now.
            if letter is not None and letter.source in bot_of:
                parts.router.arrived(bot_of[letter.source], [row])
        return len(replayed)

    async def drop(self, letter_ids: Sequence[int]) -> int:
        """Delete dead letters."""
        return await self._parts.ledger.drop(letter_ids)

    def request_stop(self) -> None:
        """Begin the graceful stop."""
        asyncio.get_running_loop().call_soon(self._stop)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
