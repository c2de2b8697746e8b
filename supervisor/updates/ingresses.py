"""Runs the intake of all bots: opens, closes, says how each stands, and lets in what is delivered.

Runs in: master.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from brama.arrival import Arrival
from brama.clock import Clock, monotonic_s, utc_s
from brama.config.settings import BotSettings, Settings
from brama.ids import BotId
from supervisor.updates.bot_api import BotApi, Deadlines
from supervisor.updates.bot_caller import Intake, IntakeServices, Ledger
from supervisor.updates.bot_hook import Sightings
from supervisor.updates.bot_ingress import BotIngress, Shared
from supervisor.updates.changes import Changes
from supervisor.updates.commits import Commits
from supervisor.updates.ingress import IngressObserver, IngressStatus
from supervisor.updates.polling_gate import Gate

#: The longest Telegram holds a poll open, in seconds.
MAX_POLL_TIMEOUT_S = 50.0
#: Webhooks looked at or registered at a time: a fleet's first registration is spread over some seconds.
_TURNS = 20


class Ingresses:
    """One intake for each bot. To be made, and used, in the master's loop."""

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        ledger: Ledger,
        *,
        clock: Clock = monotonic_s,
        utc: Clock = utc_s,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        poll_timeout_s: float = MAX_POLL_TIMEOUT_S,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Prepare; nothing is asked of Telegram before ``open``.

        Args:
            settings: the Bot API's address; bots come by ``put``.
            intake: takes what comes.
            ledger: knows what waits, and remembers identities and registrations.
            clock: monotonic seconds.
            utc: seconds since the Unix epoch, for what Telegram dates where it does not say what time it has.
            jitter: returns 0 up to 1.
            sleep: waits for seconds.
            poll_timeout_s: how long Telegram may hold a poll open, 0 to 50 s.
            deadlines: time limits of single calls.
        """
        self._ledger = ledger
        self._observer = _Relay()
        self._sightings = _Window()
        self._shared = Shared(
            services=IntakeServices(
                api=BotApi(settings.telegram.base_url, deadlines),
                ledger=ledger,
                observer=self._observer,
                gate=Gate(clock, sleep),
                commits=Commits(),
                changes=Changes(),
                clock=clock,
                utc=utc,
                jitter=jitter,
                sleep=sleep,
                crowd=lambda: len(self._bots),
            ),
            intake=intake,
            turns=asyncio.Semaphore(_TURNS),
            sightings=self._sightings,
            poll_timeout_s=poll_timeout_s,
            ending=set(),
        )
        self._bots: dict[BotId, BotIngress] = {}

    def report_to(self, observer: IngressObserver) -> None:
        """Tell ``observer`` about identities and rejected tokens; to be called before the first ``open``."""
        self._observer.to = observer

    def watch_hooks(self, sightings: Sightings) -> None:
        """Take the webhook server's word for what has come; without one, nothing has."""
        self._sightings.to = sightings

    # --- for the fleet --------------------------------------------------------------------------

    def open(self, bot_id: BotId) -> None:
        """Begin to take a bot's updates in; does nothing if that goes on already.

        A bot whose token was rejected is tried again.
        """
        self._bots[bot_id].open()

    def close(self, bot_id: BotId) -> None:
        """Take in no more at once; what is being written is still written. Webhooks stay registered."""
        if (bot := self._bots.get(bot_id)) is not None:
            bot.close()

    def set_allowed_updates(self, bot_id: BotId, allowed: Sequence[str] | None) -> None:
        """Ask for these kinds of updates from now on; None: all kinds.

        What the configuration says about a bot wins.
        """
        if (bot := self._bots.get(bot_id)) is not None:
            bot.set_allowed_updates(allowed)

    # --- for the roster -------------------------------------------------------------------------

    def put(self, bot: BotSettings, settings: Settings) -> None:
        """Add a bot, or go on with another entry of one that is there, or other settings."""
        if (present := self._bots.get(bot.id)) is None:
            self._bots[bot.id] = BotIngress(bot, settings, self._shared)
        else:
            present.adopt(bot, settings)

    def drop(self, bot_id: BotId) -> None:
        """Forget a bot."""
        self.close(bot_id)
        self._bots.pop(bot_id, None)

    def states(self) -> dict[BotId, IngressStatus]:
        """Return how the intake of every bot stands."""
        return {bot_id: bot.status for bot_id, bot in self._bots.items()}

    async def aclose(self) -> None:
        """Close all bots, and wait until what is being written is written."""
        for bot in self._bots.values():
            bot.close()
        while self._shared.ending:
            await asyncio.wait(set(self._shared.ending))
        await self._shared.services.changes.aclose()
        await self._shared.services.commits.wait_done()
        await self._shared.services.api.aclose()

    # --- for the webhook server -----------------------------------------------------------------

    def secret_of(self, bot_id: str) -> str | None:
        """Return what Telegram sends with a bot's updates, None if no bot has this id."""
        bot = self._bots.get(BotId(bot_id))
        return None if bot is None else bot.secret

    async def accept(self, bot_id: str, raw: bytes) -> Arrival:
        """Write an update that was delivered; return what became of it."""
        bot = self._bots.get(BotId(bot_id))
        return Arrival.CLOSED if bot is None else await bot.accept(raw)

    def trouble(self) -> str | None:
        """Return why no update can be written now, None if all is well."""
        return self._ledger.stalled


class _Relay:
    """Passes on what intake learns, to whoever is made after it."""

    to: IngressObserver

    def identity_known(self, bot_id: BotId, identity: bytes) -> None:
        self.to.identity_known(bot_id, identity)

    def token_rejected(self, bot_id: BotId, status: int, detail: str) -> None:
        self.to.token_rejected(bot_id, status, detail)

    def identity_unreachable(self, bot_id: BotId, detail: str) -> None:
        self.to.identity_unreachable(bot_id, detail)


class _Window:
    """Shows what a webhook server has seen, if there is one."""

    to: Sightings | None = None

    def last_seen_at(self, bot_id: str) -> float | None:
        return None if self.to is None else self.to.last_seen_at(bot_id)

    def last_refused_at(self, bot_id: str) -> float | None:
        return None if self.to is None else self.to.last_refused_at(bot_id)
