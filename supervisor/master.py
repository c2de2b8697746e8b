"""The running master as the control API sees it: what it says of itself, and what can be asked of it.

Runs in: master.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

from brama.clock import Clock
from brama.config.settings import Settings
from brama.errors import BramaError
from brama.ids import BotId
from supervisor.control.ports import CommandResult, Health, Verb
from supervisor.control.status import MasterState, MasterStatus, Status, Totals, WorkerStatus
from supervisor.fleet.fleet import Fleet
from supervisor.fleet.policy.model import State
from supervisor.fleet.view import WorkerView
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.ingress import IngressStatus
from supervisor.updates.model import DeadLetter, Source, Tally
from supervisor.updates.poller import Pollers
from supervisor.updates.router import Router

_NOTHING = Tally(0, 0, 0, 0, 0, 0, 0)


class RunningMaster:
    """Answers for fleet, intake and inbox together.

    Args:
        settings: the configuration that runs.
        version: the product's version.
        fleet: the bots' processes.
        pollers: their intake.
        ledger: the inbox.
        router: what is in flight.
        sources: which source each bot's updates come from.
        monotonic: clock of uptimes and ages.
        stop: begins the graceful stop.
    """

    def __init__(
        self,
        settings: Settings,
        version: str,
        fleet: Fleet,
        pollers: Pollers,
        ledger: Ledger,
        router: Router,
        sources: Mapping[BotId, Source],
        *,
        monotonic: Clock,
        stop: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._version = version
        self._fleet = fleet
        self._pollers = pollers
        self._ledger = ledger
        self._router = router
        self._sources = sources
        self._modes = {bot.id: bot.mode for bot in settings.bots}
        self._monotonic = monotonic
        self._started_at = monotonic()
        self._stop = stop
        self.state = MasterState.STARTING

    def status(self) -> Status:
        """Return a snapshot of everything."""
        now = self._monotonic()
        ingress = self._pollers.states()
        tallies = {bot: self._ledger.tally(source) for bot, source in self._sources.items()}
        workers = tuple(
            self._worker(view, ingress[view.bot_id], tallies, now) for view in self._fleet.views()
        )
        if self.state is MasterState.STARTING and not any(worker.state == "STARTING" for worker in workers):
            self.state = MasterState.RUNNING
        totals = Totals(
            bots=len(workers),
            running=sum(worker.state == State.RUNNING for worker in workers),
            inbox=sum(worker.inbox for worker in workers),
            dead_letters=sum(tally.dead_letters for tally in tallies.values()),
            duplicates=sum(tally.dropped + tally.repeated for tally in tallies.values()),
        )
        return Status(self._master(now), totals, workers)

    def _master(self, now: float) -> MasterStatus:
        return MasterStatus(
            pid=os.getpid(),
            version=self._version,
            uptime_ms=_ms(now - self._started_at),
            state=self.state,
            config=str(self._settings.config_path),
        )

    def _worker(
        self, view: WorkerView, ingress: IngressStatus, tallies: Mapping[BotId, Tally], now: float
    ) -> WorkerStatus:
        in_flight = self._router.in_flight(view.bot_id)
        return WorkerStatus(
            bot_id=view.bot_id,
            state=view.state,
            wanted=view.wanted,
            reason=view.reason or ingress.detail or None,
            mode=self._modes[view.bot_id],
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
        )

    def health(self) -> Health:
        """Return whether updates are taken in and handed out."""
        if self.state is MasterState.STOPPING:
            return Health(False, self.state, "the master is stopping")
        if (stalled := self._ledger.stalled) is not None:
            return Health(False, "stalled", stalled)
        return Health(True, self.state)

    async def command(self, verb: Verb, bots: Sequence[str] | None) -> list[CommandResult]:
        """Start, stop or restart bots; returns once what is wanted of them is durable."""
        if self.state is MasterState.STOPPING:
            raise BramaError("the master is stopping; start it again first")
        ids = [BotId(bot) for bot in bots] if bots is not None else [bot.id for bot in self._settings.bots]
        refused = await self._fleet.command(verb.value, ids)
        views = {view.bot_id: view for view in self._fleet.views()}
        return [
            CommandResult(bot, views[bot].state, refused.get(bot, views[bot].reason or "")) for bot in ids
        ]

    async def dead_letters(self, bot: str | None, limit: int, before: int | None) -> Sequence[DeadLetter]:
        """Return dead letters, youngest first."""
        return await self._ledger.dead_letters(
            None if bot is None else BotId(bot), limit=limit, before=before
        )

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        """Return one dead letter with its body."""
        return await self._ledger.dead_letter(letter_id)

    async def replay(self, letter_ids: Sequence[int]) -> int:
        """Put dead letters at the tail of their bots' queues."""
        letters = {letter_id: await self._ledger.dead_letter(letter_id) for letter_id in letter_ids}
        bot_of = {source: bot_id for bot_id, source in self._sources.items()}
        replayed = await self._ledger.replay(letter_ids)
        for letter, (_, row) in zip(letters.values(), replayed, strict=True):
            # Whose update it is says the source: the label may belong to another token by now.
            if letter is not None and letter.source in bot_of:
                self._router.arrived(bot_of[letter.source], [row])
        return len(replayed)

    async def drop(self, letter_ids: Sequence[int]) -> int:
        """Delete dead letters."""
        return await self._ledger.drop(letter_ids)

    def request_stop(self) -> None:
        """Begin the graceful stop."""
        asyncio.get_running_loop().call_soon(self._stop)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
