"""Takes what pollers and the webhook bring: decoded, freed of duplicates, committed, then announced.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, KeysView, Sequence
from typing import Any, NamedTuple, Protocol

from brama.clock import Clock, monotonic_s
from brama.ids import BotId, UpdateId
from brama.log import get_logger
from supervisor.updates.model import (
    Acceptance,
    Accepted,
    Arrivals,
    Candidate,
    CommitFailedError,
    Reason,
    Source,
    Verdict,
)
from supervisor.updates.policy.decoding import Decoded, Malformed, decode
from supervisor.updates.policy.message_window import (
    SWEEP_INTERVAL_S,
    ContentWindow,
    MessageKey,
    MessageWindow,
    Window,
    content_key,
    message_key,
)

log = get_logger(__name__)


class DedupSettings(Protocol):
    """The section ``dedup``: the window's length in seconds (0: off), its bound, whether content counts."""

    @property
    def window(self) -> float: ...
    @property
    def max_keys(self) -> int: ...
    @property
    def content(self) -> bool: ...


class Inbox(Protocol):
    """What intake needs of the ledger."""

    def begin_accept(
        self,
        bot_id: BotId,
        source: Source,
        candidates: Sequence[Candidate],
        told: Callable[[Any], None] | None = None,
    ) -> "asyncio.Future[tuple[Accepted, ...]]": ...
    def begin_bury_raw(
        self,
        bot_id: BotId,
        source: Source,
        update_id: UpdateId | None,
        raw: bytes,
        reason: Reason,
        detail: str,
    ) -> "asyncio.Future[bool]": ...


class _Keys(NamedTuple):
    """How the windows know one message; ``content`` is its words, if they count, and when they were sent."""

    message: MessageKey
    content: MessageKey | None
    sent_utc: int

    @property
    def own(self) -> tuple[MessageKey, ...]:
        """The keys that there are."""
        return (self.message,) if self.content is None else (self.message, self.content)


class Intake:
    """The one door through which updates get into the inbox.

    Args:
        ledger: the inbox.
        settings: the message window.
        arrivals: told of new rows the moment they are durable, in the order of their numbers over all bots.
        clock: monotonic seconds.
        window: stands in for the message window in memory.
    """

    def __init__(
        self,
        ledger: Inbox,
        settings: DedupSettings,
        arrivals: Arrivals,
        clock: Clock = monotonic_s,
        *,
        window: Window | None = None,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._arrivals = arrivals
        self._clock = clock
        self._messages = MessageWindow(settings.window, settings.max_keys) if window is None else window
        self._contents = ContentWindow(settings.window, settings.max_keys)
        self._swept_at = clock()
        #: Messages whose commit is under way, with what is done when it is over.
        self._pending: dict[MessageKey, asyncio.Future[None]] = {}

    async def accept(self, bot_id: BotId, source: Source, raws: Sequence[bytes | memoryview]) -> Acceptance:
        """Commit one batch and announce what is new in it; malformed elements become dead letters.

        Args:
            bot_id: the label the source has now.
            source: whose updates these are.
            raws: Update objects as Telegram wrote them.

        Returns:
            What became of the batch, all of which may be confirmed now.

        Raises:
            CommitFailedError: not all of it was written; nothing of it may be confirmed.
        """
        elements = [(raw, decode(raw)) for raw in map(bytes, raws)]
        updates = [(raw, parts) for raw, parts in elements if isinstance(parts, Decoded)]
        keys = [self._keys(source, parts) for _, parts in updates]
        await self._wait_for_pending(keys)
        answers: list[asyncio.Future[Any]] = []
        if updates:
            answers.append(self._begin(bot_id, source, updates, keys))
        malformed = [(raw, parts) for raw, parts in elements if isinstance(parts, Malformed)]
        burials = [
            self._ledger.begin_bury_raw(bot_id, source, parts.update_id, raw, Reason.MALFORMED, parts.reason)
            for raw, parts in malformed
        ]
        answers += burials
        # Each is waited for to its end, so that no failure is left behind unheard.
        await asyncio.gather(*answers, return_exceptions=True)
        results = [answer.result() for answer in answers]
        for (raw, parts), burial in zip(malformed, burials, strict=True):
            if burial.result():  # one that comes again has been told of
                log.warning("update.malformed", bot=bot_id, update_id=parts.update_id, size=len(raw))
        verdicts = [accepted.verdict for accepted in results[0]] if updates else []
        return Acceptance(
            last_update_id=_last_id([parts for _, parts in elements]),
            queued=verdicts.count(Verdict.QUEUED),
            dropped=verdicts.count(Verdict.DROPPED),
            known=verdicts.count(Verdict.KNOWN),
            malformed=len(elements) - len(updates),
        )

    async def accept_one(self, bot_id: BotId, source: Source, raw: bytes) -> Verdict | None:
        """Commit one update as ``accept`` does; what is no update is not written.

        Cancelling the caller does not undo what has been queued for its commit.

        Returns:
            What became of it, durable; None: it is malformed.

        Raises:
            CommitFailedError: it was not written.
        """
        parts = decode(raw)
        if isinstance(parts, Malformed):
            return None
        known_as = self._keys(source, parts)
        if known_as is not None and not self._pending.keys().isdisjoint(known_as.own):
            await self._wait_for_pending([known_as])
        [accepted] = await self._begin_one(bot_id, source, raw, parts, known_as)
        return accepted.verdict

    # --- inside ---------------------------------------------------------------------------------

    def _begin(
        self,
        bot_id: BotId,
        source: Source,
        updates: Sequence[tuple[bytes, Decoded]],
        keys: Sequence[_Keys | None],
    ) -> "asyncio.Future[tuple[Accepted, ...]]":
        """Judge a batch by the message window and queue it for its commit, without a pause in between."""
        now = self._clock()
        self._sweep(now)
        batch = _Batch(self._settings.window)
        candidates = []
        for (raw, parts), known_as in zip(updates, keys, strict=True):
            duplicate = known_as is not None and (self._seen(known_as, now) or batch.seen(known_as))
            if known_as is not None and not duplicate:
                batch.note(known_as)
            candidates.append(
                Candidate(parts.update_id, parts.kind, parts.lane, raw, duplicate, parts.sent_utc)
            )
        return self._queue(bot_id, source, candidates, keys, tuple(batch.keys))

    def _begin_one(
        self, bot_id: BotId, source: Source, raw: bytes, parts: Decoded, known_as: _Keys | None
    ) -> "asyncio.Future[tuple[Accepted, ...]]":
        """Do as ``_begin`` for one update, which has nothing to be compared with but the window."""
        now = self._clock()
        self._sweep(now)
        duplicate = known_as is not None and self._seen(known_as, now)
        candidate = Candidate(parts.update_id, parts.kind, parts.lane, raw, duplicate, parts.sent_utc)
        noted = () if known_as is None or duplicate else known_as.own
        return self._queue(bot_id, source, (candidate,), (known_as,), noted)

    def _queue(
        self,
        bot_id: BotId,
        source: Source,
        candidates: Sequence[Candidate],
        keys: Sequence[_Keys | None],
        noted: Sequence[MessageKey],
    ) -> "asyncio.Future[tuple[Accepted, ...]]":
        """Queue judged updates for their commit; ``noted`` are pending until it is over."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for key in noted:
            self._pending[key] = over

        def concluded(result: tuple[Accepted, ...] | CommitFailedError) -> None:
            for key in noted:
                del self._pending[key]
            over.set_result(None)
            if isinstance(result, CommitFailedError):
                return
            self._note(result, keys)
            if rows := [accepted.row for accepted in result if accepted.row is not None]:
                self._arrivals.arrived(bot_id, rows)

        return self._ledger.begin_accept(bot_id, source, candidates, concluded)

    async def _wait_for_pending(self, keys: Sequence[_Keys | None]) -> None:
        """Wait while another batch with one of these messages is being committed, since its fate decides."""
        if self._pending:
            wanted = {key for known_as in keys if known_as for key in known_as.own}
            while commits := {self._pending[key] for key in wanted if key in self._pending}:
                await asyncio.wait(commits)

    def _keys(self, source: Source, parts: Decoded) -> _Keys | None:
        if parts.message is None or not self._settings.window:
            return None
        content = None
        if self._settings.content and parts.sent_utc is not None:
            content = content_key(source, parts.kind, parts.message)
        return _Keys(message_key(source, parts.kind, parts.message), content, parts.sent_utc or 0)

    def _seen(self, keys: _Keys, now: float) -> bool:
        return self._messages.seen(keys.message, now) or (
            keys.content is not None and self._contents.seen(keys.content, now, keys.sent_utc)
        )

    def _note(self, accepted: Sequence[Accepted], keys: Sequence[_Keys | None]) -> None:
        """Remember what was queued; a row that was known has been noted when it was new."""
        now = self._clock()
        for each, known_as in zip(accepted, keys, strict=True):
            if known_as is not None and each.verdict is Verdict.QUEUED:
                self._messages.note(known_as.message, now)
                if known_as.content is not None:
                    self._contents.note(known_as.content, now, known_as.sent_utc)

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= SWEEP_INTERVAL_S:
            self._swept_at = now
            self._messages.sweep(now)
            self._contents.sweep(now)


class _Batch:
    """What one batch holds already, for the second of two equal messages in it."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._sent: dict[MessageKey, int] = {}

    @property
    def keys(self) -> KeysView[MessageKey]:
        return self._sent.keys()

    def seen(self, keys: _Keys) -> bool:
        if keys.message in self._sent:
            return True
        sent = None if keys.content is None else self._sent.get(keys.content)
        return sent is not None and abs(keys.sent_utc - sent) < self._window_s

    def note(self, keys: _Keys) -> None:
        self._sent[keys.message] = keys.sent_utc
        if keys.content is not None:
            self._sent[keys.content] = keys.sent_utc


def _last_id(elements: Sequence[Decoded | Malformed]) -> UpdateId | None:
    return next((each.update_id for each in reversed(elements) if each.update_id is not None), None)
