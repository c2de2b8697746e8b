"""Moves updates from the inbox to the workers and their ends back into the inbox.

The decisions are the Route's (policy/routing.py), the retry's and the expiry's; this shell holds one Route
for each bot, loads rows when memory has room, and arms one timer a bot.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from brama.clock import Clock
from brama.ids import BotId, Generation, Seq
from brama.log import get_logger
from brama.messages import Begun, Deliver, Failed, Processed, Released, Returned, ToWorker
from supervisor.updates.model import Backlog, CommitFailedError, Reason, Row, Source
from supervisor.updates.policy.expiry import is_expired
from supervisor.updates.policy.retry import Bury, RetryPolicy, decide_retry
from supervisor.updates.policy.routing import Entry, InFlight, Route, RouteRecord, Window

#: Rows of one bot kept in memory; the rest stays in the inbox until there is room.
MAX_ROWS_IN_MEMORY = 400
MAX_PAGE_BYTES = 8 * 1024 * 1024
#: A page that could not be read is asked for again after this.
PAGE_RETRY_S = 1.0

_BEFORE_ALL = Seq(0)
_NONE_YET = Generation(0)

Send = Callable[[Sequence[ToWorker]], None]
Delivery = Begun | Released | Processed | Failed | Returned
log = get_logger(__name__)


class Inbox(Protocol):
    """What the router needs of the ledger."""

    async def page(self, source: Source, after_seq: Seq, max_rows: int, max_bytes: int) -> list[Row]: ...
    def processed(self, seqs: Sequence[Seq]) -> None: ...
    def charge(self, seq: Seq, charges: int) -> None: ...
    def attempt(self, seq: Seq, attempts: int) -> None: ...
    def bury(self, seq: Seq, reason: Reason, error: str, detail: str, traceback: str) -> None: ...
    @property
    def stalled(self) -> str | None: ...
    def backlog(self, source: Source) -> Backlog: ...


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """The part of ``delivery`` that the router applies."""

    window: Window
    retry: RetryPolicy
    max_age_s: Mapping[str, float | None]


@dataclass(slots=True)
class _Bot:
    """One bot's route with what the shell knows beside it."""

    source: Source
    route: Route
    loaded_to: Seq = _BEFORE_ALL
    behind: bool = True
    skipped: bool = False
    loading: bool = False
    generation: Generation = _NONE_YET
    send: Send | None = None
    timer: asyncio.TimerHandle | None = None
    #: When something last arrived or was done, in monotonic seconds.
    active_at: float = 0.0
    #: Something arrived, and is handed over when this turn of the loop is over.
    is_due: bool = False


class Router:
    """Delivers every bot's updates in arrival order and keeps the inbox told of their ends.

    Args:
        inbox: the ledger.
        settings: window, retry policy, maximal ages.
        monotonic: clock of intervals.
        utc: clock of ages.
        random: returns a number in [0, 1); spreads retries.
        spawn: runs a coroutine as a task of the application's task group.
    """

    def __init__(
        self,
        inbox: Inbox,
        settings: RouterSettings,
        *,
        monotonic: Clock,
        utc: Clock,
        random: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._inbox = inbox
        self._settings = settings
        self._monotonic = monotonic
        self._utc = utc
        self._random = random
        self._spawn = spawn
        self._bots: dict[BotId, _Bot] = {}
        self._on_waiting: Callable[[BotId], None] = lambda _: None

    def call_when_waiting(self, callback: Callable[[BotId], None]) -> None:
        """Have ``callback`` told of a bot whenever updates arrive that it has no worker for."""
        self._on_waiting = callback

    def add_bot(self, bot_id: BotId, source: Source) -> None:
        """Begin to route for a bot; what waits in its inbox is loaded when its first worker is ready."""
        self._bots[bot_id] = _Bot(source, Route(self._settings.window, self._settings.retry.attempts))

    def remove_bot(self, bot_id: BotId) -> None:
        """Route for a bot no more, whose worker is gone; what waits stays in the inbox."""
        if (bot := self._bots.pop(bot_id, None)) is not None and bot.timer is not None:
            bot.timer.cancel()

    def retune(self, settings: RouterSettings) -> None:
        """Apply ``settings`` from now on, to what waits too."""
        self._settings = settings
        for bot_id, bot in self._bots.items():
            bot.route.retune(settings.window, settings.retry.attempts)
            self._pump(bot_id, bot)

    def in_flight(self, bot_id: BotId) -> InFlight:
        """Return how many updates the bot's worker holds unacknowledged, and since when."""
        return self._bots[bot_id].route.in_flight

    def waits(self, bot_id: BotId) -> bool:
        """Return whether updates wait for the bot's next worker."""
        bot = self._bots[bot_id]
        return bot.route.idle_rows > 0 or (bot.behind and self._inbox.backlog(bot.source).rows > 0)

    def idle_since(self, bot_id: BotId) -> float | None:
        """Return when the bot's worker was done with all there was, in monotonic seconds; None: it is not."""
        bot = self._bots[bot_id]
        is_busy = bot.behind or bot.is_due or bot.route.in_flight.count or bot.route.idle_rows
        return None if is_busy else bot.active_at

    # --- from the inbox -----------------------------------------------------------------------

    def arrived(self, bot_id: BotId, rows: Sequence[Row]) -> None:
        """Route ``rows``, committed a moment ago, in arrival order; of a bot that has gone, they wait."""
        if (bot := self._bots.get(bot_id)) is None:
            return
        fresh = [row for row in rows if row.seq > bot.loaded_to]
        if bot.behind or bot.route.idle_rows + len(fresh) > MAX_ROWS_IN_MEMORY:
            bot.behind = bot.skipped = True
        elif fresh:
            bot.loaded_to = fresh[-1].seq
            bot.route.offer(fresh)
        if not bot.is_due:  # one commit brings many deliveries, each of which arrives by itself
            bot.is_due = True
            asyncio.get_running_loop().call_soon(self._pump_arrived, bot_id, bot)

    def _pump_arrived(self, bot_id: BotId, bot: _Bot) -> None:
        bot.is_due = False
        if self._bots.get(bot_id) is bot:
            bot.active_at = self._monotonic()
            if bot.send is None:
                self._on_waiting(bot_id)
            self._pump(bot_id, bot)

    def resume(self) -> None:
        """Deliver again after the inbox was stalled."""
        for bot_id, bot in self._bots.items():
            self._pump(bot_id, bot)

    # --- from the fleet -----------------------------------------------------------------------

    def worker_ready(self, bot_id: BotId, generation: Generation, send: Send) -> None:
        """A worker may be handed updates through ``send`` from now on."""
        bot = self._bots[bot_id]
        bot.generation = generation
        bot.send = send
        bot.active_at = self._monotonic()
        self._pump(bot_id, bot)

    def worker_draining(self, bot_id: BotId) -> None:
        """Hand its worker nothing more; what it still says is heard."""
        self._bots[bot_id].send = None

    def worker_said(self, bot_id: BotId, generation: Generation, message: Delivery) -> None:
        """Take a worker's word on its updates; the word of an earlier generation changes nothing."""
        bot = self._bots[bot_id]
        if generation != bot.generation:
            return
        match message:
            case Begun(seqs):
                bot.route.begun(seqs)
                return
            case Released(seqs):
                bot.route.released(seqs, self._monotonic())
            case Processed(seqs):
                done = [entry.row.seq for seq in seqs if (entry := bot.route.finish(seq)) is not None]
                self._inbox.processed(done)
            case Returned(seqs):
                bot.route.returned(seqs)
            case Failed():
                self._failed(bot_id, bot, message)
        bot.active_at = self._monotonic()
        self._pump(bot_id, bot)

    def worker_gone(self, bot_id: BotId, *, commanded: bool) -> bool:
        """Ready the bot's updates for its next worker, after the dead one's pipe was read to its end.

        Returns:
            Whether an update is charged with the death, which then spends nothing of the restart budget.
        """
        bot = self._bots[bot_id]
        bot.send = None
        death = bot.route.worker_gone(commanded=commanded)
        if death.charged is None:
            return False
        row = death.charged.row
        if death.poisoned:
            detail = f"its worker died {death.charged.charges} times while this update ran alone"
            self._inbox.bury(row.seq, Reason.POISON, "", detail, "")
        else:
            self._inbox.charge(row.seq, death.charged.charges)
        log.warning(
            "update.charged",
            bot=bot_id,
            update_id=row.update_id,
            charges=death.charged.charges,
            poisoned=death.poisoned,
        )
        return True

    # --- a change of masters --------------------------------------------------------------------

    def hold(self) -> None:
        """Deliver nothing more to anybody; what workers still say is heard."""
        for bot in self._bots.values():
            bot.send = None
            if bot.timer is not None:
                bot.timer.cancel()

    def hand_over(self) -> dict[BotId, RouteRecord]:
        """Return what the next master's router has to know of each bot; call ``hold`` first."""
        return {bot_id: bot.route.hand_over() for bot_id, bot in self._bots.items()}

    async def take_over(self, bot_id: BotId, generation: Generation, record: RouteRecord) -> None:
        """Begin where another master has ended, before the bot's worker is heard.

        Raises:
            CommitFailedError: the inbox cannot be read.
        """
        bot = self._bots[bot_id]
        bot.generation = generation
        rows: list[Row] = []
        while bot.loaded_to < record.last_seq:
            page = await self._inbox.page(bot.source, bot.loaded_to, MAX_ROWS_IN_MEMORY, MAX_PAGE_BYTES)
            if not page:
                break
            rows += page
            bot.loaded_to = page[-1].seq
        bot.route.take_over(record, rows)

    # --- inside -------------------------------------------------------------------------------

    def _failed(self, bot_id: BotId, bot: _Bot, failure: Failed) -> None:
        entry = bot.route.find(failure.seq)
        if entry is None:
            return
        decision = decide_retry(failure, entry.attempts, self._settings.retry, self._random())
        seq = entry.row.seq
        if isinstance(decision, Bury):
            bot.route.finish(seq)
            self._inbox.bury(seq, decision.reason, failure.error, failure.detail, failure.traceback)
            log.warning("update.buried", bot=bot_id, update_id=entry.row.update_id, reason=decision.reason)
            return
        if decision.attempts != entry.attempts:
            self._inbox.attempt(seq, decision.attempts)
        not_before = self._monotonic() + decision.delay_s
        bot.route.retry(seq, not_before=not_before, attempts=decision.attempts)

    def _pump(self, bot_id: BotId, bot: _Bot) -> None:
        """Hand over what may go, load what there is room for, arm the timer."""
        if bot.send is None:
            return
        if self._inbox.stalled is None:
            taken = bot.route.take(self._monotonic())
            if fit := self._unexpired(bot, taken):
                bot.send([Deliver(entry.row.seq, entry.row.update_id, entry.row.raw) for entry in fit])
            if len(fit) < len(taken):
                asyncio.get_running_loop().call_soon(self._pump, bot_id, bot)
        if bot.behind and not bot.loading and bot.route.idle_rows < MAX_ROWS_IN_MEMORY // 2:
            bot.loading = True
            self._spawn(self._load(bot_id, bot))
        self._arm(bot_id, bot)

    def _unexpired(self, bot: _Bot, taken: Sequence[Entry]) -> list[Entry]:
        now_utc = self._utc()
        fit = []
        for entry in taken:
            if is_expired(entry.row, now_utc, self._settings.max_age_s):
                bot.route.finish(entry.row.seq)
                age_s = int(now_utc - entry.row.received_utc)
                detail = f"waited {age_s} s; delivery.max_update_age.{entry.row.kind} allows less"
                self._inbox.bury(entry.row.seq, Reason.EXPIRED, "", detail, "")
            else:
                fit.append(entry)
        return fit

    def _arm(self, bot_id: BotId, bot: _Bot) -> None:
        if bot.timer is not None:
            bot.timer.cancel()
            bot.timer = None
        if (at := bot.route.next_wake_at()) is not None:
            delay_s = max(at - self._monotonic(), 0.0)
            bot.timer = asyncio.get_running_loop().call_later(delay_s, self._pump, bot_id, bot)

    async def _load(self, bot_id: BotId, bot: _Bot) -> None:
        """Fetch the next rows of a bot whose memory was full, or whose master has just started."""
        bot.skipped = False
        room = MAX_ROWS_IN_MEMORY - bot.route.idle_rows
        try:
            rows = await self._inbox.page(bot.source, bot.loaded_to, room, MAX_PAGE_BYTES)
        except CommitFailedError as error:
            log.error("inbox.unreadable", bot=bot_id, detail=str(error))
            asyncio.get_running_loop().call_later(PAGE_RETRY_S, self._load_again, bot_id, bot)
            return
        bot.loading = False
        if rows:
            bot.loaded_to = rows[-1].seq
            bot.route.offer(rows)
        elif not bot.skipped:
            bot.behind = False
        self._pump(bot_id, bot)

    def _load_again(self, bot_id: BotId, bot: _Bot) -> None:
        bot.loading = False
        self._pump(bot_id, bot)
