"""The intake of one bot, in the mode it is in: one of a poller and a webhook, and the change between them.

Runs in: master.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from brama.arrival import Arrival
from brama.config.settings import BotSettings, Settings
from brama.log import get_logger
from supervisor.updates.bot_caller import Intake, IntakeServices
from supervisor.updates.bot_hook import BotHook, Sightings
from supervisor.updates.bot_poller import BotPoller
from supervisor.updates.ingress import IngressState, IngressStatus
from supervisor.updates.ingress_log import log_change
from supervisor.updates.model import CommitFailedError, Source, Verdict
from supervisor.updates.policy.polling import describe_full, is_full
from supervisor.updates.policy.switching import Patience, Switching, after_look, after_wait

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the intake of all bots shares.

    Attributes:
        services: the Bot API, the ledger, the observer, the clocks.
        intake: takes what comes.
        turns: bounds how many webhooks are looked at or registered at a time.
        sightings: what the webhook server has seen.
        poll_timeout_s: how long Telegram may hold a poll open, 0 to 50 s.
        ending: tasks that were cancelled and have not ended yet.
    """

    services: IntakeServices
    intake: Intake
    turns: asyncio.Semaphore
    sightings: Sightings
    poll_timeout_s: float
    ending: set["asyncio.Task[None]"]


class BotIngress:
    """Opens, closes, and says how it stands. All methods are called in the master's loop."""

    def __init__(self, bot: BotSettings, settings: Settings, shared: Shared) -> None:
        self._bot = bot
        self._settings = settings
        self._shared = shared
        self._source = Source(bot.telegram_id, settings.telegram.base_url)
        self._asked_for: tuple[Sequence[str] | None] | None = None
        self._switching = Switching()
        #: Why it fell back to polling, in Telegram's words.
        self._failure: str | None = None
        self._return: asyncio.Task[None] | None = None
        self._is_open = False
        self._was_full = False
        self._task: asyncio.Task[None] | None = None
        self._poller, self._hook = self._make()

    @property
    def secret(self) -> str | None:
        """What Telegram is told to send with each update."""
        return self._hook.secret

    @property
    def status(self) -> IngressStatus:
        """How it stands."""
        if self._polls:
            status = self._poller.status
            if self._switching.is_polling:
                status = replace(status, telegram_error=self._failure)
        else:
            status = self._hook.status
            if self._is_open and (obstacle := self._obstacle()):
                state, detail = obstacle
                status = replace(status, state=state, detail=detail)
        switches = self._switching.switches
        return replace(status, switches=switches) if switches else status

    def open(self) -> None:
        """Begin; does nothing if that goes on already. A bot whose token was rejected is tried again."""
        self._is_open = True
        if self._task is None or self._task.done():
            self._end_fallback()
            self._start()

    def close(self) -> None:
        """Take in no more, at once; what is being written is still written."""
        self._is_open = False
        self._stop()
        self._end_fallback()

    def adopt(self, bot: BotSettings, settings: Settings) -> None:
        """Go on with another entry of the same bot of Telegram, undisturbed where nothing of this changed."""
        old, old_settings = self._bot, self._settings
        self._bot, self._settings = bot, settings
        has_new_webhook = old_settings.webhook != settings.webhook
        if old.token != bot.token:
            self._stop()
            self._end_fallback()
            self._poller, self._hook = self._make()
            self._restart()
            return
        self._poller.adopt(bot, settings)
        if has_new_webhook or (old.mode, old.allowed_updates) != (bot.mode, bot.allowed_updates):
            self._hook.adopt(bot, settings)
        if old.mode != bot.mode or (has_new_webhook and self._switching.is_polling):
            self._end_fallback()
            self._restart()

    def set_allowed_updates(self, allowed: Sequence[str] | None) -> None:
        """Take in these kinds from now on, None for all; the configuration's own list wins."""
        self._asked_for = (allowed,)
        self._poller.set_allowed_updates(allowed)
        if self._is_open and not self._polls:
            self._hook.set_allowed_updates(allowed)

    async def accept(self, raw: bytes) -> Arrival:
        """Commit an update that was delivered, whatever the mode: it may have been on its way for long."""
        if not self._is_open:
            return Arrival.CLOSED
        self._hook.heard()
        if self._is_full():
            return Arrival.FULL
        try:
            verdict = await self._shared.intake.accept_one(self._bot.id, self._source, raw)
        except CommitFailedError:
            return Arrival.UNWRITTEN
        if verdict is None:
            return Arrival.MALFORMED
        return Arrival.ACCEPTED if verdict is Verdict.QUEUED else Arrival.DUPLICATE

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _polls(self) -> bool:
        return self._bot.mode == "polling" or self._switching.is_polling

    def _make(self) -> tuple[BotPoller, BotHook]:
        shared = self._shared
        poller = BotPoller(self._bot, self._settings, shared.services, shared.intake, shared.poll_timeout_s)
        hook = BotHook(
            self._bot, self._settings, shared.services, shared.turns, shared.sightings, self._looked
        )
        return poller, hook

    def _restart(self) -> None:
        self._stop()
        if self._is_open:
            self._start()

    def _start(self) -> None:
        feed: BotPoller | BotHook
        if self._polls:
            feed = self._poller
        else:
            feed = self._hook
            self._poller.note_webhook()
        feed.begin()
        if self._asked_for is not None:
            feed.set_allowed_updates(*self._asked_for)
        name = f"intake {self._bot.id}"
        self._task = asyncio.get_running_loop().create_task(feed.run(), name=name)
        self._task.add_done_callback(self._ended)

    def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            self._shared.ending.add(task)
            task.cancel()
        self._poller.end()
        self._hook.end()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._shared.ending.discard(task)
        with suppress(asyncio.CancelledError):
            if error := task.exception():
                _log.error("ingress.crashed", bot=self._bot.id, exc_info=error)

    def _obstacle(self) -> tuple[IngressState, str] | None:
        """Return why what is delivered is refused now, if it is."""
        ledger = self._shared.services.ledger
        if (stalled := ledger.stalled) is not None:
            return IngressState.OUTAGE, f"updates cannot be written: {stalled}"
        if self._is_full():
            return IngressState.FULL, describe_full(ledger.backlog(self._source))
        return None

    def _is_full(self) -> bool:
        backlog = self._shared.services.ledger.backlog(self._source)
        delivery = self._settings.delivery
        rows, size_bytes = delivery.max_backlog, delivery.max_backlog_size
        was_full = self._was_full
        self._was_full = is_full(backlog, rows, size_bytes, was_full=was_full)
        if self._was_full != was_full and not self._polls:  # a poller logs it itself
            states = (IngressState.OK, IngressState.FULL)
            old, new = states if self._was_full else states[::-1]
            log_change(self._bot.id, old, new, describe_full(backlog) if self._was_full else "")
        return self._was_full

    # --- switching ------------------------------------------------------------------------------

    def _looked(self, is_failing: bool) -> None:
        """Take in how deliveries go, as Telegram says; fall back to polling if that is due."""
        section = self._settings.webhook
        if not section.auto_switch:
            return
        patience = Patience(section.switch_after, section.return_after)
        now = self._shared.services.clock()
        self._switching = after_look(self._switching, is_failing=is_failing, now=now, patience=patience)
        if self._switching.is_polling:
            status = self._hook.status
            self._failure = status.telegram_error
            self._switched("webhook", "polling", status.detail)
            self._set_return(self._switching.wait_s)

    async def _try_webhook(self, after_s: float) -> None:
        await self._shared.services.sleep(after_s)
        self._return = None
        if self._task is None or self._task.done():  # the token was rejected
            return
        self._switching = after_wait(self._switching, self._shared.services.clock())
        self._switched("polling", "webhook", "the webhook is tried again")

    def _switched(self, old: str, new: str, reason: str) -> None:
        _log.warning("ingress.switched", bot=self._bot.id, **{"from": old, "to": new, "reason": reason})
        self._restart()

    def _end_fallback(self) -> None:
        """Use the webhook, if that is the mode, from the next start on."""
        self._set_return(None)
        self._switching = Switching(switches=self._switching.switches)

    def _set_return(self, after_s: float | None) -> None:
        if self._return is not None:
            self._return.cancel()
        loop = asyncio.get_running_loop()
        self._return = None if after_s is None else loop.create_task(self._try_webhook(after_s))
