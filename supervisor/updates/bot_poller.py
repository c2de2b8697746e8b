"""Fetches the updates of one bot: makes the calls that ``policy.polling`` decides on.

Runs in: master.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, assert_never

from brama.config.settings import BotSettings, Settings
from brama.log import get_logger
from brama.redaction import redact
from brama.update_kinds import UPDATE_KINDS
from supervisor.updates.bot_api import UnreachableError
from supervisor.updates.bot_caller import BotCaller, Intake, IntakeServices, trouble_of
from supervisor.updates.identity import Identity
from supervisor.updates.ingress import IngressState, IngressStatus
from supervisor.updates.ingress_log import log_change
from supervisor.updates.model import CommitFailedError, Source
from supervisor.updates.policy import polling, replies
from supervisor.updates.policy.polling import Polling

#: Telegram holds a poll that repeats an offset within 3 s at least this long, in seconds.
REPEATED_POLL_S = 3.0

_log = get_logger(__name__)


class BotPoller:
    """The intake of one bot that polls; ``run`` is its task, begun and ended any number of times.

    Args:
        bot: whose updates.
        settings: the Bot API's address and the bounds of the backlog.
        services: shared with other bots.
        intake: takes what comes.
        poll_timeout_s: how long Telegram may hold a poll open, 0 to 50 s.
    """

    def __init__(
        self,
        bot: BotSettings,
        settings: Settings,
        services: IntakeServices,
        intake: Intake,
        poll_timeout_s: float,
    ) -> None:
        self._bot = bot
        self._services = services
        self._intake = intake
        self._poll_timeout_s = poll_timeout_s
        self._delivery = settings.delivery
        self._source = Source(bot.telegram_id, settings.telegram.base_url)
        self._caller = BotCaller(bot, services.api)
        self._identity = Identity(bot, settings.telegram.base_url, self._caller, services)
        self._asked_for: Sequence[str] | None = None
        self._state = Polling()
        self._since = services.clock()

    @property
    def status(self) -> IngressStatus:
        """How this bot's intake stands."""
        return IngressStatus(self._state.ingress, redact(self._state.detail), self._since)

    def adopt(self, bot: BotSettings, settings: Settings) -> None:
        """Go on with a changed entry of the same token, from the next poll on."""
        self._bot = bot
        self._delivery = settings.delivery

    def set_allowed_updates(self, allowed: Sequence[str] | None) -> None:
        """Ask for these kinds from the next poll on, None for all; the configuration's own list wins."""
        self._asked_for = allowed

    def begin(self) -> None:
        """Prepare for ``run``: what Telegram knows of this token stays known, the offset is forgotten."""
        old = self._state
        self._identity.recall()
        self._show(
            Polling(
                is_identified=self._identity.is_known,
                is_webhook_cleared=old.is_webhook_cleared and old.ingress is not IngressState.UNAUTHORIZED,
                is_known=old.is_known,
                floor=old.floor,
                floor_at=old.floor_at,
            )
        )

    def end(self) -> None:
        """Show that nothing is fetched; the task was cancelled."""
        kept = self._state
        self._show(
            Polling(
                is_webhook_cleared=kept.is_webhook_cleared,
                is_known=kept.is_known,
                floor=kept.floor,
                floor_at=kept.floor_at,
            )
        )

    def note_webhook(self) -> None:
        """A webhook may be set from now on: it is to be deleted before the next poll."""
        self._state = replace(self._state, is_webhook_cleared=False)

    async def run(self) -> None:
        """Fetch until the token is rejected or this task is cancelled; nothing else ends it."""
        self._identity.tell()
        decision: polling.Decision = polling.Act(polling.next_call(self._state, self._services.jitter()))
        while isinstance(decision, polling.Act):
            if decision.wait_s > 0:
                await self._services.sleep(decision.wait_s)
            try:
                outcome = await self._perform(decision.call)
            except Exception:
                # A defect of ours must cost this bot a pause, not its intake.
                _log.exception("poller.failed", bot=self._bot.id)
                outcome = polling.Failed("an internal error; see master.log")
            decision = self._apply(outcome)

    # --- calls ----------------------------------------------------------------------------------

    async def _perform(self, call: polling.Call) -> polling.Outcome:
        if not self._state.is_known:
            await self._services.gate.wait_open(self._hold)
        match call:
            case polling.Identify():
                return await self._identity.ask()
            case polling.ClearWebhook():
                clear = partial(self._caller.ask, "deleteWebhook", {"drop_pending_updates": False})
                reply = await self._services.changes.make(self._bot.telegram_id, clear)
                return polling.WebhookCleared() if isinstance(reply, replies.Result) else reply
            case polling.GetUpdates():
                if full := self._look_at_backlog():
                    return full
                if rejected := await self._identity.recheck_if_due():
                    return rejected
                self._apply(polling.Begun())
                return await self._fetch(call)
            case _:
                assert_never(call)

    def _hold(self) -> None:
        self._apply(polling.Held())

    def _look_at_backlog(self) -> polling.Full | None:
        backlog = self._services.ledger.backlog(self._source)
        was_full = self._state.ingress is IngressState.FULL
        rows, size_bytes = self._delivery.max_backlog, self._delivery.max_backlog_size
        if polling.is_full(backlog, rows, size_bytes, was_full=was_full):
            return polling.Full(polling.describe_full(backlog))
        if was_full:
            self._apply(polling.Drained())
        return None

    async def _fetch(self, call: polling.GetUpdates) -> polling.Outcome:
        timeout_s = int(self._poll_timeout_s * call.patience)
        parameters: dict[str, Any] = {
            "timeout": timeout_s,
            "limit": call.limit,
            "allowed_updates": kinds_for(self._bot, self._asked_for),
        }
        if call.offset is not None:
            parameters["offset"] = call.offset
        try:
            answer = await self._services.api.call(
                self._caller.token, "getUpdates", parameters, held_s=max(timeout_s, REPEATED_POLL_S)
            )
        except UnreachableError as error:
            if error.is_too_slow and call.limit > 1:
                return polling.Undecodable(str(error))
            return polling.Failed(str(error), error.is_stray)
        reply = replies.read_reply(answer.status, answer.retry_after, answer.body)
        if isinstance(reply, replies.NoReply) and answer.status == 200 and replies.is_batch(answer.body):
            return await self._commit_undecodable(answer.body, call.limit)
        if not isinstance(reply, replies.Result):
            return trouble_of(reply)
        batch = replies.read_batch(reply)
        if batch is None:
            return polling.Failed("getUpdates answered with something else than a list")
        return await self._commit(batch, len(batch))

    async def _commit(self, batch: list[bytes], at_least: int) -> polling.Outcome:
        if not batch:
            return polling.Committed(None)
        accepting = self._intake.accept(self._bot.id, self._source, batch)
        try:
            accepted = await self._services.commits.finish(accepting)
        except CommitFailedError as error:
            return polling.NotCommitted(f"updates cannot be written: {error}")
        if accepted.last_update_id is None:
            return polling.Unidentified(at_least)
        return polling.Committed(accepted.last_update_id)

    async def _commit_undecodable(self, body: bytes, limit: int) -> polling.Outcome:
        """Take a batch apart that no parser takes, if need be by fetching its elements one by one.

        What is cut may be more pieces than there are updates; only that there is one is sure.
        """
        if elements := replies.split_batch(body):
            return await self._commit(elements, 1)
        if limit > 1:
            return polling.Undecodable("a batch of updates cannot be decoded; fetching them one by one")
        element = replies.cut_single(body)
        if element is None:
            return polling.Failed("an update cannot be told from the answer around it")
        return await self._commit([element], 1)

    # --- what follows ---------------------------------------------------------------------------

    def _apply(self, outcome: polling.Outcome) -> polling.Decision:
        services = self._services
        if isinstance(outcome, polling.Throttled) and not self._state.is_known:
            services.gate.shut(outcome.retry_after_s or 0.0)
        state, decision = polling.after(outcome, self._state, services.clock(), services.jitter())
        self._show(state)
        if isinstance(outcome, polling.Committed):
            self._identity.intake_works()
        if isinstance(outcome, polling.Rejected):
            services.observer.token_rejected(self._bot.id, outcome.status, redact(outcome.description))
        elif not state.is_identified and state.detail:
            self._identity.tell_fault(state.detail)
        return decision

    def _show(self, state: Polling) -> None:
        old, self._state = self._state, state
        if state.ingress is not old.ingress:
            self._since = self._services.clock()
            log_change(self._bot.id, old.ingress, state.ingress, state.detail)


def kinds_for(bot: BotSettings, asked_for: Sequence[str] | None) -> Sequence[str]:
    """Return the kinds of updates that ``bot`` gets: as configured, else as its script asked, else all."""
    for kinds in (bot.allowed_updates, asked_for):
        if kinds is not None:
            return kinds
    return UPDATE_KINDS
