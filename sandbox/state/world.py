"""Everything one sandbox holds."""

from dataclasses import dataclass, field
from typing import Any

from brama.clock import monotonic_s
from sandbox.policy.admission import AdmissionLimits, NewTokens
from sandbox.policy.faults import FaultBook
from sandbox.policy.kinds import DEFAULT_TTL_S
from sandbox.state.bot import Bot
from sandbox.state.files import FileStore
from sandbox.state.sent import Sent, SentLog

NO_LIMITS = AdmissionLimits()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a test may switch on or change.

    Attributes:
        new_tokens: how many tokens not seen before are admitted.
        update_ttl_s: how long an update is kept at most, in seconds.
        strict_chats: refuse to send to a chat that nobody wrote from, as Telegram does for people.
    """

    new_tokens: AdmissionLimits = NO_LIMITS
    update_ttl_s: float = DEFAULT_TTL_S
    strict_chats: bool = False


@dataclass(slots=True)
class World:
    """Bots by numeric id, and what is scripted for them."""

    bots: dict[int, Bot] = field(default_factory=dict)
    faults: FaultBook = field(default_factory=FaultBook)
    sent: SentLog = field(default_factory=SentLog)
    files: FileStore = field(default_factory=FileStore)
    limits: Limits = Limits()
    new_tokens: NewTokens = field(default_factory=NewTokens)

    def bot(self, bot_id: int) -> Bot:
        """Return a bot, made at first use: updates can wait for a bot that was never seen."""
        bot = self.bots.get(bot_id)
        if bot is None:
            bot = self.bots[bot_id] = Bot.create(bot_id)
        return bot

    def record(self, bot: Bot, method: str, params: dict[str, Any], message_id: int | None) -> None:
        """Note a call that took effect, for its bot and for all."""
        entry = Sent(bot.sent.last + 1, bot.bot_id, method, params, monotonic_s() * 1000, message_id)
        bot.sent.append(entry)
        self.sent.append(entry)

    def reset(self) -> None:
        """Forget everything; open polls are answered with nothing."""
        for bot in self.bots.values():
            bot.abandon()
        self.bots.clear()
        self.faults.clear()
        self.files.clear()
        self.limits = Limits()
        self.new_tokens = NewTokens()
        self.sent.clear()
