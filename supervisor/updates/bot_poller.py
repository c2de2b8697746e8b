"""Fetches the updates of one bot: makes the calls that ``policy.polling`` decides on.

Runs in: master.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

from brama.clock import Clock
from brama.config.settings import BotSettings, Settings
from brama.ids import BotId
from brama.log import get_logger
from brama.redaction import redact
from brama.update_kinds import UPDATE_KINDS
from supervisor.updates.bot_api import BotApi, UnreachableError
from supervisor.updates.commits import Commits
from supervisor.updates.ingress import IngressObserver, IngressState, IngressStatus
from supervisor.updates.model import Acceptance, Backlog, CommitFailedError, Source
from supervisor.updates.policy import polling, replies
from supervisor.updates.policy.polling import Polling
from supervisor.updates.polling_gate import Gate

#: A cached identity is asked for again at a random time within this after the start, in seconds.
RECHECK_WITHIN_S = 300.0
#: And then this often, in seconds.
RECHECK_EVERY_S = 86_400.0

#: Telegram holds a poll that repeats an offset within 3 s at least this long, in seconds.
REPEATED_POLL_S = 3.0

_QUIET = frozenset({IngressState.OK, IngressState.OFF})
_log = get_logger(__name__)


class Intake(Protocol):
    """Who takes updates: ``supervisor.updates.intake``."""

    async def accept(self, bot_id: BotId, source: Source, raws: Sequence[bytes]) -> Acceptance:
        """Commit a batch, and what is malformed in it as dead letters.

        Raises:
            CommitFailedError: not all of it was written.
        """


class Ledger(Protocol):
    """What pollers need of the inbox itself."""

    def backlog(self, source: Source) -> Backlog: ...
    def recall(self, prefix: str) -> dict[str, bytes]: ...
    async def remember(self, key: str, value: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class PollerServices:
    """What all pollers share. ``clock`` is monotonic, ``jitter`` returns 0 up to 1."""

    api: BotApi
    intake: Intake
    ledger: Ledger
    observer: IngressObserver
    gate: Gate
    commits: Commits
    clock: Clock
    jitter: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    poll_timeout_s: float


class BotPoller:
    """The intake of one bot; ``run`` is its task, begun and ended any number of times."""

    def __init__(self, bot: BotSettings, settings: Settings, services: PollerServices) -> None:
        self._bot = bot
        self._services = services
        self._delivery = settings.delivery
        self._source = Source(bot.telegram_id, settings.telegram.base_url)
        self._identity_key = f"identity/{bot.telegram_id}@{settings.telegram.base_url}"
        self._asked_for: Sequence[str] | None = None
        self._state = Polling()
        self._since = services.clock()
        self._identity: bytes | None = None
        self._is_cached = False
        #: When to ask for the identity again; not before the first poll has succeeded.
        self._recheck_at = math.inf
        self._unreachable: str | None = None

    @property
    def status(self) -> IngressStatus:
        """How this bot's intake stands."""
        return IngressStatus(self._state.ingress, redact(self._state.detail), self._since)

    def set_allowed_updates(self, allowed: Sequence[str] | None) -> None:
        """Ask for these kinds from the next poll on, None for all; the configuration's own list wins."""
        self._asked_for = allowed

    def begin(self) -> None:
        """Prepare for ``run``: what Telegram knows of this token stays known, the offset is forgotten."""
        old = self._state
        cached = self._services.ledger.recall(self._identity_key).get(self._identity_key)
        if (
            self._identity is None
            and cached is not None
            and replies.is_account(cached, self._bot.telegram_id)
        ):
            self._identity, self._is_cached = cached, True
        self._unreachable = None
        self._recheck_at = math.inf
        self._show(
            Polling(
                is_identified=self._identity is not None,
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

    async def run(self) -> None:
        """Fetch until the token is rejected or this task is cancelled; nothing else ends it."""
        if self._identity is not None:
            self._services.observer.identity_known(self._bot.id, self._identity)
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
                return await self._identify()
            case polling.ClearWebhook():
                reply = await self._ask("deleteWebhook", {"drop_pending_updates": False})
                return polling.WebhookCleared() if isinstance(reply, replies.Result) else reply
            case polling.GetUpdates():
                if full := self._look_at_backlog():
                    return full
                if self._services.clock() >= self._recheck_at and (rejected := await self._recheck()):
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
            waiting = f"{backlog.rows} updates of {backlog.size_bytes} bytes wait"
            return polling.Full(f"{waiting}; the bounds are delivery.max_backlog and max_backlog_size")
        if was_full:
            self._apply(polling.Drained())
        return None

    async def _fetch(self, call: polling.GetUpdates) -> polling.Outcome:
        timeout_s = int(self._services.poll_timeout_s * call.patience)
        parameters: dict[str, Any] = {
            "timeout": timeout_s,
            "limit": call.limit,
            "allowed_updates": self._allowed_updates(),
        }
        if call.offset is not None:
            parameters["offset"] = call.offset
        try:
            answer = await self._services.api.call(
                self._token(), "getUpdates", parameters, held_s=max(timeout_s, REPEATED_POLL_S)
            )
        except UnreachableError as error:
            if error.is_too_slow and call.limit > 1:
                return polling.Undecodable(str(error))
            return polling.Failed(str(error), error.is_stray)
        reply = replies.read_reply(answer.status, answer.retry_after, answer.body)
        if isinstance(reply, replies.NoReply) and answer.status == 200 and replies.is_batch(answer.body):
            return await self._commit_undecodable(answer.body, call.limit)
        if not isinstance(reply, replies.Result):
            return _trouble(reply)
        batch = replies.read_batch(reply)
        if batch is None:
            return polling.Failed("getUpdates answered with something else than a list")
        return await self._commit(batch, len(batch))

    async def _commit(self, batch: list[bytes], at_least: int) -> polling.Outcome:
        if not batch:
            return polling.Committed(None)
        intake = self._services.intake
        try:
            accepted = await self._services.commits.finish(intake.accept(self._bot.id, self._source, batch))
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

    async def _identify(self) -> polling.Outcome:
        reply = await self._ask("getMe", {})
        if not isinstance(reply, replies.Result):
            return reply
        if not replies.is_account(reply.raw, self._bot.telegram_id):
            return polling.Failed("getMe answered for another account; check telegram.base_url")
        self._announce(reply.raw)
        return polling.Identified()

    async def _recheck(self) -> polling.Rejected | None:
        """Ask again for an identity taken from the cache; trouble with it is no trouble of polling."""
        self._recheck_at = self._services.clock() + RECHECK_EVERY_S
        reply = await self._ask("getMe", {})
        if isinstance(reply, polling.Rejected):
            return reply
        if isinstance(reply, replies.Result) and replies.is_account(reply.raw, self._bot.telegram_id):
            if reply.raw != self._identity:
                self._announce(reply.raw)
        else:
            self._recheck_at = self._services.clock() + RECHECK_WITHIN_S
        return None

    async def _ask(self, method: str, parameters: Mapping[str, Any]) -> "replies.Result | polling.Trouble":
        try:
            answer = await self._services.api.call(self._token(), method, parameters)
        except UnreachableError as error:
            return polling.Failed(str(error), error.is_stray)
        reply = replies.read_reply(answer.status, answer.retry_after, answer.body)
        return reply if isinstance(reply, replies.Result) else _trouble(reply)

    def _token(self) -> str:
        return self._bot.token.get_secret_value()

    def _allowed_updates(self) -> Sequence[str]:
        for kinds in (self._bot.allowed_updates, self._asked_for):
            if kinds is not None:
                return kinds
        return UPDATE_KINDS

    # --- what follows ---------------------------------------------------------------------------

    def _announce(self, identity: bytes) -> None:
        self._identity, self._is_cached = identity, False
        self._services.observer.identity_known(self._bot.id, identity)
        self._services.commits.begin(self._remember(identity))

    async def _remember(self, identity: bytes) -> None:
        try:
            await self._services.ledger.remember(self._identity_key, identity)
        except CommitFailedError as error:  # then the next start asks Telegram
            _log.warning("identity.lost", bot=self._bot.id, reason=str(error))

    def _apply(self, outcome: polling.Outcome) -> polling.Decision:
        services = self._services
        if isinstance(outcome, polling.Throttled) and not self._state.is_known:
            services.gate.shut(outcome.retry_after_s or 0.0)
        now = services.clock()
        state, decision = polling.after(outcome, self._state, now, services.jitter())
        self._show(state)
        if isinstance(outcome, polling.Committed) and self._recheck_at == math.inf:
            self._recheck_at = now + (
                RECHECK_WITHIN_S * services.jitter() if self._is_cached else RECHECK_EVERY_S
            )
        if isinstance(outcome, polling.Rejected):
            services.observer.token_rejected(self._bot.id, outcome.status, redact(outcome.description))
        elif not state.is_identified and state.detail and state.detail != self._unreachable:
            self._unreachable = state.detail
            services.observer.identity_unreachable(self._bot.id, redact(state.detail))
        return decision

    def _show(self, state: Polling) -> None:
        old, self._state = self._state, state
        if state.ingress is old.ingress:
            return
        self._since = self._services.clock()
        if state.ingress not in _QUIET:
            log = _log.warning
        else:
            log = _log.debug if old.ingress in _QUIET or state.ingress is IngressState.OFF else _log.info
        fields = {"from": str(old.ingress), "to": str(state.ingress), "detail": state.detail}
        log("ingress.changed", bot=self._bot.id, **fields)


def _trouble(reply: "replies.Refusal | replies.NoReply") -> polling.Trouble:
    """Return by name what the Bot API's refusal means to a poller."""
    if isinstance(reply, replies.NoReply):
        return polling.Failed(reply.detail)
    match reply.code:
        case 401 | 404:
            return polling.Rejected(reply.code, reply.description)
        case 409:
            return polling.Conflicted("webhook" in reply.description.lower())
        case 429:
            return polling.Throttled(reply.retry_after_s)
    return polling.Failed(f"{reply.code} {reply.description}")
