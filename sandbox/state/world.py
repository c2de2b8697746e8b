"""Everything one sandbox holds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from brama.clock import monotonic_s
from sandbox.policy.admission import AdmissionLimits, NewTokens
from sandbox.policy.faults import FaultBook
from sandbox.policy.kinds import DEFAULT_TTL_S
from sandbox.state.bot import Bot, Webhook
from sandbox.state.delivery import Delivery
from sandbox.state.files import FileStore
from sandbox.state.sent import Sent, SentLog

NO_LIMITS = AdmissionLimits()
#: How long a webhook has to answer, in seconds.
RESPONSE_LIMIT_S = 60.0

#: Takes a bot that has its first webhook, and returns what tells that something may be sent to it.
DeliverFor = Callable[[Bot], Callable[[], None]]


def deliver_nothing(bot: Bot) -> Callable[[], None]:
    """Deliver to no webhook: updates stay in the queue."""
    return lambda: None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a test may switch on or change.

    Attributes:
        new_tokens: how many tokens not seen before are admitted.
        update_ttl_s: how long an update is kept at most, in seconds.
        strict_chats: refuse to send to a chat that nobody wrote from, as Telegram does for people.
        webhook_pause_scale: what every pause between two attempts to deliver to a webhook is multiplied by.
        webhook_response_limit_s: how long a webhook has to answer, in seconds.
    """

    new_tokens: AdmissionLimits = NO_LIMITS
    update_ttl_s: float = DEFAULT_TTL_S
    strict_chats: bool = False
    webhook_pause_scale: float = 1.0
    webhook_response_limit_s: float = RESPONSE_LIMIT_S


@dataclass(slots=True)
class World:
    """Bots by numeric id, and what is scripted for them.

    Attributes:
        webhooks_blocked: the network between here and every webhook is cut.
    """

    bots: dict[int, Bot] = field(default_factory=dict)
    faults: FaultBook = field(default_factory=FaultBook)
    sent: SentLog = field(default_factory=SentLog)
    files: FileStore = field(default_factory=FileStore)
    limits: Limits = Limits()
    new_tokens: NewTokens = field(default_factory=NewTokens)
    webhooks_blocked: bool = False
    deliver_for: DeliverFor = deliver_nothing

    def bot(self, bot_id: int) -> Bot:
        """Return a bot, made at first use: updates can wait for a bot that was never seen."""
        bot = self.bots.get(bot_id)
        if bot is None:
            bot = self.bots[bot_id] = Bot.create(bot_id)
        return bot

    def delivery(self, bot: Bot) -> Delivery:
        """Return what delivers to a bot's webhook, made at first use."""
        if bot.delivery is None:
            bot.delivery = Delivery(bot.queue, self.deliver_for(bot))
        return bot.delivery

    def set_webhook(self, bot: Bot, webhook: Webhook, ip_address: str) -> None:
        """Deliver a bot's updates to a webhook.

        Args:
            ip_address: where it is, empty if that has to be looked up.
        """
        bot.webhook = webhook
        self.delivery(bot).start(webhook.max_connections, ip_address)

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
        self.webhooks_blocked = False
        self.new_tokens = NewTokens()
        self.sent.clear()
