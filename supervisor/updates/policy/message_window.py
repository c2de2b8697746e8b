"""Remembers for seconds which messages came in, so that one message under two update_ids is processed once.

Pure. The second of two layers against duplicates: the first, one row for each update_id, is the inbox's own
and lasts a day. This one sees new and edited messages and channel posts only.
"""

from collections import OrderedDict
from hashlib import blake2b
from typing import NewType, Protocol

from supervisor.updates.model import Source
from supervisor.updates.policy.decoding import MessageParts, Payload, sender_and_text

#: How often keys that are too old are thrown out, in seconds.
SWEEP_INTERVAL_S = 300.0

#: Stands for one message of one bot: 16 bytes of a digest, no text in it.
MessageKey = NewType("MessageKey", bytes)

_KEY_BYTES = 16


class Window(Protocol):
    """What intake asks of a window; one that several masters share can stand in for the one in memory."""

    def seen(self, key: MessageKey, now: float) -> bool:
        """Return whether ``key`` was noted less than the window's length ago."""

    def note(self, key: MessageKey, now: float) -> None:
        """Remember ``key`` from now on, unless it is remembered already."""

    def sweep(self, now: float) -> None:
        """Forget what is too old to matter."""


class MessageWindow:
    """A window in memory. Times are seconds of whatever clock the caller keeps to.

    Args:
        window_s: how long a key counts; 0 turns the window off.
        max_keys: how many keys are kept; the oldest go first.
    """

    def __init__(self, window_s: float, max_keys: int) -> None:
        self._window_s = window_s
        self._max_keys = max_keys
        self._noted_at: OrderedDict[MessageKey, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._noted_at)

    def seen(self, key: MessageKey, now: float) -> bool:
        """Return whether ``key`` was noted less than ``window_s`` before ``now``, or after it."""
        noted_at = self._noted_at.get(key)
        return noted_at is not None and abs(now - noted_at) < self._window_s

    def note(self, key: MessageKey, now: float) -> None:
        """Remember ``key`` from ``now`` on; a key that still counts keeps its first moment."""
        if self.seen(key, now):
            return
        self._noted_at[key] = now
        self._noted_at.move_to_end(key)
        if len(self._noted_at) > self._max_keys:
            self._noted_at.popitem(last=False)

    @property
    def noted(self) -> list[tuple[MessageKey, float]]:
        """Every key with its moment, oldest first; ``note`` them again to fill another window."""
        return list(self._noted_at.items())

    def sweep(self, now: float) -> None:
        """Forget every key that no longer counts."""
        for key in [key for key in self._noted_at if not self.seen(key, now)]:
            del self._noted_at[key]


class ContentWindow:
    """Remembers who said what: the same words count as the same if they came and were sent within the window.

    Both, because after an outage everything comes at once, however far apart it was said.

    Args:
        window_s: how long words count.
        max_keys: how many are kept.
    """

    def __init__(self, window_s: float, max_keys: int) -> None:
        self._came = MessageWindow(window_s, max_keys)
        self._sent = MessageWindow(window_s, max_keys)
        self._latest_sent_utc = 0

    def seen(self, key: MessageKey, now: float, sent_utc: int) -> bool:
        """Return whether these words, sent at ``sent_utc``, repeat what was noted."""
        return self._came.seen(key, now) and self._sent.seen(key, sent_utc)

    def note(self, key: MessageKey, now: float, sent_utc: int) -> None:
        """Remember words that came ``now`` and were sent at ``sent_utc``."""
        self._came.note(key, now)
        self._sent.note(key, sent_utc)
        self._latest_sent_utc = max(self._latest_sent_utc, sent_utc)

    def sweep(self, now: float) -> None:
        """Forget what no longer counts."""
        self._came.sweep(now)
        self._sent.sweep(self._latest_sent_utc)


def message_key(source: Source, kind: str, message: MessageParts) -> MessageKey:
    """Return the key of a message: bot, chat, message, kind, edit date and everything it says."""
    return _digest("message", source, kind, message, message.payload)


def content_key(source: Source, kind: str, message: MessageParts) -> MessageKey | None:
    """Return the key of what somebody said in a chat, whatever the message's number; None without a text.

    An edit has none: it says anew what was said before.
    """
    if kind not in {"message", "channel_post"}:
        return None
    said = sender_and_text(message)
    if said is None:
        return None
    sender, text = said
    place = message._replace(message_id=0, edit_date=None)
    return _digest(f"content {sender}", source, kind, place, text)


def _digest(prefix: str, source: Source, kind: str, message: MessageParts, payload: Payload) -> MessageKey:
    where = (
        f"{prefix} {source.telegram_id} {source.base_url} {kind} "
        f"{message.chat_id} {message.message_id} {message.edit_date}\0"
    )
    digest = blake2b(where.encode(), digest_size=_KEY_BYTES)
    digest.update(bytes(payload))
    return MessageKey(digest.digest())
