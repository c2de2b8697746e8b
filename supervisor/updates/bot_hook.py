"""Keeps the webhook of one bot registered: makes the calls that ``policy.registration`` decides on.

Runs in: master.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, assert_never

from brama.config.settings import BotSettings, Settings
from brama.log import get_logger
from brama.redaction import redact
from supervisor.updates.bot_caller import BotCaller, IntakeServices
from supervisor.updates.hook_terms import hook_for, secret_for
from supervisor.updates.identity import Identity
from supervisor.updates.ingress import IngressState, IngressStatus
from supervisor.updates.ingress_log import log_change
from supervisor.updates.model import CommitFailedError
from supervisor.updates.policy import hook_info, polling, registration, replies
from supervisor.updates.policy.hook_info import Record
from supervisor.updates.policy.registration import Registration

_log = get_logger(__name__)


class Sightings(Protocol):
    """What the webhook server has seen of a bot, in monotonic seconds; None: nothing."""

    def last_seen_at(self, bot_id: str) -> float | None:
        """Return when its last request with the right secret came."""

    def last_refused_at(self, bot_id: str) -> float | None:
        """Return when a request came for it with a wrong secret."""


class BotHook:
    """The intake of one bot that is delivered to; ``run`` is its task, begun and ended any number of times.

    Args:
        bot: whose updates.
        settings: the Bot API's address and the webhook's.
        services: shared with other bots.
        turns: bounds how many bots ask at a time.
        sightings: what the webhook server has seen.
        looked: called after each look at Telegram, with whether it fails to get through to us.
    """

    def __init__(
        self,
        bot: BotSettings,
        settings: Settings,
        services: IntakeServices,
        turns: asyncio.Semaphore,
        sightings: Sightings,
        looked: Callable[[bool], None],
    ) -> None:
        self._bot = bot
        self._settings = settings
        self._services = services
        self._turns = turns
        self._sightings = sightings
        self._looked = looked
        self._caller = BotCaller(bot, services.api)
        self._identity = Identity(bot, settings.telegram.base_url, self._caller, services)
        self._record_key = f"webhook/{bot.telegram_id}@{settings.telegram.base_url}"
        self._state = Registration()
        self._since = self._began_at = services.clock()
        #: Until when Telegram's last failure may matter.
        self._error_until = -math.inf
        #: Set when something changed that the registration hangs on.
        self._changed = asyncio.Event()

    @property
    def status(self) -> IngressStatus:
        """How this bot's intake stands."""
        info, state = self._state.info, self._state
        has_error = info is not None and self._services.clock() < self._error_until
        error = hook_info.shown_error(info) if info is not None and has_error else None
        return IngressStatus(
            state.ingress,
            redact(state.detail),
            self._since,
            mode="webhook",
            pending=None if info is None else info.pending_update_count,
            telegram_error=None if error is None else redact(error),
        )

    @property
    def secret(self) -> str | None:
        """What Telegram is told to send; None while ``webhook.secret`` is not configured."""
        return secret_for(self._bot, self._settings)

    def adopt(self, bot: BotSettings, settings: Settings) -> None:
        """Go on with a changed entry of the same token, or another address or secret."""
        self._bot = bot
        self._settings = settings
        self._changed.set()

    def set_allowed_updates(self, allowed: Sequence[str] | None) -> None:
        """Have these kinds delivered, None for all; the configuration's own list wins."""
        asked_for = hook_info.kinds(allowed) if allowed is not None else None
        if asked_for != self._state.record.asked_for:
            self._keep(Record(self._state.record.fingerprint, self._state.record.facts, asked_for))
            self._changed.set()

    def heard(self) -> None:
        """A delivery has come: if Telegram seemed not to get through, that is over, and looked at now."""
        if self._state.is_registered and self._state.ingress is IngressState.OUTAGE:
            self._changed.set()

    def begin(self) -> None:
        """Prepare for ``run``: what is registered is known from disk."""
        self._began_at = self._services.clock()
        self._identity.recall()
        record = hook_info.read_record(self._services.ledger.recall_one(self._record_key))
        self._show(self._begun(record, is_identified=self._identity.is_known))

    def end(self) -> None:
        """Show that nothing is taken in; the task was cancelled. The webhook stays registered."""
        self._show(self._begun(self._state.record, is_identified=False))

    async def run(self) -> None:
        """Watch until the token is rejected or this task is cancelled; nothing else ends it."""
        self._identity.tell()
        decision: registration.Decision = registration.Act(registration.next_call(self._state))
        while isinstance(decision, registration.Act):
            await self._wait(decision)
            try:
                outcome = await self._perform(decision.call)
            except Exception:
                # A defect of ours must cost this bot a pause, not its intake.
                _log.exception("hook.failed", bot=self._bot.id)
                outcome = polling.Failed("an internal error; see master.log")
            decision = self._apply(outcome)
            if isinstance(outcome, registration.Inspected):
                self._looked(outcome.is_unreachable)
                await asyncio.sleep(0)  # a bot that falls back has this task cancelled

    # --- calls ----------------------------------------------------------------------------------

    async def _wait(self, decision: registration.Act) -> None:
        """Wait as decided."""
        if decision.wait_s <= 0:
            return
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._services.sleep(decision.wait_s))]
        if decision.may_hurry:
            waits.append(asyncio.ensure_future(self._changed.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _perform(self, call: registration.Call) -> registration.Outcome:
        if not self._state.is_known:
            await self._services.gate.wait_open(self._hold)
        await self._services.changes.wait_over(self._bot.telegram_id)
        self._changed.clear()
        async with self._turns:
            match call:
                case polling.Identify():
                    return _known(await self._identity.ask())
                case registration.Inspect():
                    return await self._inspect()
                case registration.Register():
                    return await self._register()
                case _:
                    assert_never(call)

    def _hold(self) -> None:
        self._apply(polling.Held())

    async def _inspect(self) -> registration.Outcome:
        if rejected := await self._identity.recheck_if_due():
            return rejected
        hook = await hook_for(self._bot, self._settings, self._state.record.asked_for)
        if isinstance(hook, registration.Unconfigured):
            return hook
        reply = await self._caller.ask("getWebhookInfo", {})
        if not isinstance(reply, replies.Result):
            return _known(reply)
        info = hook_info.read_info(reply.raw)
        if info is None:
            return polling.Failed("getWebhookInfo answered with something else than a WebhookInfo")
        now, set_at = self._services.clock(), self._state.set_at
        # The clock that dates errors is Telegram's; this machine's may be wrong, or jump.
        now_utc = replies.answered_at_utc(reply) or self._services.utc()
        error_ago_s = hook_info.error_ago_s(info, now_utc)
        self._error_until = -math.inf if error_ago_s is None else now + hook_info.ERROR_MEMORY_S - error_ago_s
        seen_at = self._sightings.last_seen_at(self._bot.id)
        refused_at = self._sightings.last_refused_at(self._bot.id)
        seen_ago_s, set_ago_s = (None if at is None else now - at for at in (seen_at, set_at))
        up_ago_s = now - self._began_at
        return registration.Inspected(
            info,
            hook.url,
            hook.fingerprint,
            # Where it delivers to somebody else's address, it is that which it may fail to reach.
            is_unreachable=info.url == hook.url
            and hook_info.is_unreachable(info, now_utc, seen_ago_s, set_ago_s, up_ago_s),
            is_refused=refused_at is not None and refused_at > (set_at or 0.0),
            is_watchful=self._settings.webhook.auto_switch,
            crowd=self._services.crowd(),
        )

    async def _register(self) -> registration.Outcome:
        hook = await hook_for(self._bot, self._settings, self._state.record.asked_for)
        if isinstance(hook, registration.Unconfigured):
            return hook
        parameters: dict[str, Any] = {
            "url": hook.url,
            "secret_token": hook.secret,
            "max_connections": hook.max_connections,
            "allowed_updates": list(hook.allowed_updates),
            "drop_pending_updates": False,
        }
        files = {"certificate": hook.certificate} if hook.certificate else {}
        call = partial(self._caller.ask, "setWebhook", parameters, files)
        reply = await self._services.changes.make(self._bot.telegram_id, call)
        if not isinstance(reply, replies.Result):
            return _known(reply)
        _log.info("webhook.registered", bot=self._bot.id, url=hook.url)
        return registration.Registered(hook.fingerprint)

    # --- what follows ---------------------------------------------------------------------------

    def _begun(self, record: Record, *, is_identified: bool) -> Registration:
        now = self._services.clock()
        return registration.begun(self._state, record, now, is_identified=is_identified)

    def _apply(self, outcome: registration.Outcome) -> registration.Decision:
        services = self._services
        if isinstance(outcome, polling.Throttled) and not self._state.is_known:
            services.gate.shut(outcome.retry_after_s or 0.0)
        before = self._state.record
        state, decision = registration.after(outcome, self._state, services.clock(), services.jitter())
        self._show(state)
        if state.record != before:
            self._keep(state.record)
        if state.is_registered:
            self._identity.intake_works()
        if isinstance(outcome, polling.Rejected):
            services.observer.token_rejected(self._bot.id, outcome.status, redact(outcome.description))
        elif not state.is_identified and state.detail:
            self._identity.tell_fault(state.detail)
        return decision

    def _keep(self, record: Record) -> None:
        self._state = registration.with_record(self._state, record)
        self._services.commits.begin(self._remember(record))

    async def _remember(self, record: Record) -> None:
        try:
            await self._services.ledger.remember(self._record_key, hook_info.write_record(record))
        except CommitFailedError as error:  # then the next master registers once more
            _log.warning("webhook.record_lost", bot=self._bot.id, reason=str(error))

    def _show(self, state: Registration) -> None:
        old, self._state = self._state, state
        if state.ingress is not old.ingress:
            self._since = self._services.clock()
            log_change(self._bot.id, old.ingress, state.ingress, state.detail)


def _known(outcome: polling.Identified | polling.Trouble) -> registration.Outcome:
    """Return ``outcome`` as one of those that a registration has: others are failures."""
    match outcome:
        case polling.Identified() | polling.Rejected() | polling.Throttled() | polling.Failed():
            return outcome
        case polling.Conflicted():
            return polling.Failed("409 Conflict")
    return polling.Failed(str(getattr(outcome, "detail", outcome)))
