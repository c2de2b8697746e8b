"""One bot as the server knows it: its queue, its open poll, its webhook, its chats."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from zlib import crc32

import msgspec

from sandbox.policy.kinds import is_allowed, kind_of, ttl_s
from sandbox.policy.polling import CONFLICT_PAUSE_S, PreviousPoll
from sandbox.policy.queue import Entry, UpdateQueue
from sandbox.state.chat import Chat
from sandbox.state.delivery import Delivery
from sandbox.state.sent import SentLog


class PollEnd(Enum):
    """Why a long poll ended."""

    #: Updates may be there.
    UPDATES = "updates"
    #: Its time is over.
    TIMEOUT = "timeout"
    #: Another getUpdates request took its place.
    OTHER_POLL = "other poll"
    #: A webhook was set.
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Webhook:
    """What setWebhook stored; an empty ``url`` means that there is none.

    Attributes:
        ip_address: where to find the host, empty to look it up.
        certificate: PEM, the one root to trust; empty for the usual ones.
    """

    url: str = ""
    secret_token: str = field(default="", repr=False)
    max_connections: int = 40
    ip_address: str = ""
    certificate: str = field(default="", repr=False)


NO_WEBHOOK = Webhook()


def first_update_id_of(bot_id: int) -> int:
    """Return where a bot's update ids start: anywhere, as on Telegram, but the same in every run."""
    return 100_000_000 + crc32(str(bot_id).encode()) % 800_000_000


@dataclass(slots=True)
class Bot:
    """State of one numeric bot id; every token of that id shares it, as a rotated token does on Telegram."""

    bot_id: int
    username: str
    first_name: str
    queue: UpdateQueue
    tokens: set[str] = field(default_factory=set)
    revoked_tokens: set[str] = field(default_factory=set)
    #: Every token is refused, because it was revoked before any was seen.
    revoked: bool = False
    allowed_updates: frozenset[str] = frozenset()
    webhook: Webhook = NO_WEBHOOK
    #: What brings updates to the webhook; None before the first one was set.
    delivery: Delivery | None = None
    next_webhook_at: float = 0.0
    chats: dict[int, Chat] = field(default_factory=dict)
    sent: SentLog = field(default_factory=SentLog)
    calls: Counter[str] = field(default_factory=Counter)
    #: Settings a bot can read back: its commands, name, description, menu button.
    profile: dict[str, Any] = field(default_factory=dict)
    previous_poll: PreviousPoll | None = None
    first_poll_at: float | None = None
    #: The last moment a getUpdates request was open, in monotonic seconds.
    last_poll_at: float | None = None
    open_polls: int = 0
    _long_poll: asyncio.Future[PollEnd] | None = None
    _next_conflict_at: float = 0.0

    @classmethod
    def create(cls, bot_id: int) -> "Bot":
        """Return a bot that nothing is known of but its id."""
        return cls(bot_id, f"bot{bot_id}_bot", f"Bot {bot_id}", UpdateQueue(first_update_id_of(bot_id)))

    def accepts(self, token: str) -> bool:
        """Tell whether a token of this id is good."""
        return not self.revoked and token not in self.revoked_tokens

    def describe(self) -> dict[str, Any]:
        """Return the bot's User object as it stands in messages."""
        return {"id": self.bot_id, "is_bot": True, "first_name": self.first_name, "username": self.username}

    def chat(self, chat_id: int) -> Chat:
        """Return a chat, made at first use."""
        chat = self.chats.get(chat_id)
        if chat is None:
            chat = self.chats[chat_id] = Chat(chat_id)
        return chat

    def push(self, update: Mapping[str, Any], now: float, longest_ttl_s: float) -> int | None:
        """Queue an update.

        Args:
            update: an Update object; without ``update_id`` it gets the next one.
            now: monotonic seconds.
            longest_ttl_s: how long an update is kept at most, in seconds.

        Returns:
            its update_id, or None when ``allowed_updates`` keeps the kind away.
        """
        kind = kind_of(dict(update))
        if not is_allowed(kind, self.allowed_updates):
            return None
        given = update.get("update_id")
        update_id = given if isinstance(given, int) else self.queue.next_id
        body = encode({"update_id": update_id, **update})
        return self.push_raw(update_id, body, now + ttl_s(kind, longest_ttl_s)).update_id

    def push_raw(self, update_id: int, body: bytes, expires_at: float) -> Entry:
        """Queue the bytes of one element of the result array, whatever they are."""
        entry = self.queue.append(update_id, body, expires_at)
        self.end_long_poll(PollEnd.UPDATES)
        if self.delivery is not None:
            self.delivery.add(entry)
        return entry

    def delete_webhook(self) -> None:
        """Deliver nothing more; updates wait in the queue."""
        self.webhook = NO_WEBHOOK
        if self.delivery is not None:
            self.delivery.stop()

    def begin_long_poll(self) -> asyncio.Future[PollEnd]:
        """Open a long poll, which ends the one that is open."""
        self.end_long_poll(PollEnd.OTHER_POLL)
        self._long_poll = asyncio.get_running_loop().create_future()
        return self._long_poll

    def end_long_poll(self, reason: PollEnd) -> None:
        """End the open long poll, if there is one."""
        if self._long_poll is not None and not self._long_poll.done():
            self._long_poll.set_result(reason)
        self._long_poll = None

    def close_long_poll(self, poll: asyncio.Future[PollEnd]) -> None:
        """Forget a long poll whose client is gone."""
        if self._long_poll is poll:
            self._long_poll = None

    def abandon(self) -> None:
        """Let go of everyone who waits on this bot, which is being forgotten."""
        self.end_long_poll(PollEnd.TIMEOUT)
        if self.delivery is not None:
            self.delivery.abandon()
        self.sent.clear()
        for chat in self.chats.values():
            chat.touch()

    def next_conflict_pause_s(self, now: float) -> float:
        """Return how long a 409 is held back, in seconds."""
        if now < self._next_conflict_at:
            return CONFLICT_PAUSE_S
        self._next_conflict_at = now + CONFLICT_PAUSE_S
        return 0.0


def encode(value: object) -> bytes:
    """Return JSON of anything that JSON can say, including lone surrogates and integers of any size."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value).encode("ascii")
