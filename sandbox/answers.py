"""What the control API answers."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BotInfo:
    """A bot the sandbox knows.

    Attributes:
        webhook: it has one.
        seen: it called with a token, or was registered with one.
    """

    bot: int
    username: str
    first_name: str
    polling: bool
    webhook: bool
    seen: bool
    pending: int
    chats: list[int]


@dataclass(frozen=True, slots=True)
class Injected:
    """Ids of injected updates; an update that ``allowed_updates`` keeps from the bot has none."""

    update_ids: list[int]
    message_ids: list[int] = field(default_factory=list)
    callback_query_id: str | None = None


@dataclass(frozen=True, slots=True)
class SentCall:
    """A call of a bot that took effect; ``at_ms`` is comparable with ``brama.clock.monotonic_s() * 1000``."""

    index: int
    bot: int
    method: str
    params: dict[str, Any]
    at_ms: float
    message_id: int | None = None


@dataclass(frozen=True, slots=True)
class InjectedUpdate:
    """What became of an update: its state is pending, confirmed or expired.

    ``served``: how often it was in an answer to ``getUpdates`` or was sent to the webhook.
    """

    update_id: int
    state: str
    confirmed: bool
    served: int


@dataclass(frozen=True, slots=True)
class WebhookState:
    """A bot's webhook, and how delivering to it goes.

    Attributes:
        ip_address: where it was found, empty before it was looked for.
        attempted: attempts to deliver since the bot's first webhook: succeeded, failed or ``under_way``.
        last_error_message: a success does not clear it.
        blocked: the network between here and it is cut, for this bot.
    """

    url: str
    max_connections: int
    ip_address: str
    has_secret: bool
    has_custom_certificate: bool
    pending: int
    attempted: int
    succeeded: int
    failed: int
    under_way: int
    open_connections: int
    last_error_message: str | None
    blocked: bool


@dataclass(frozen=True, slots=True)
class BotState:
    """A bot's intake; ``calls`` counts every Bot API call by method, whatever it was answered."""

    bot: int
    username: str
    pending: int
    confirmed: int
    expired: int
    last_update_id: int | None
    polls: int
    open_polls: int
    allowed_updates: list[str]
    webhook: WebhookState | None
    me_calls: int
    calls: dict[str, int]
    sent: int
    first_poll_at_ms: float | None


@dataclass(frozen=True, slots=True)
class WorldState:
    """All bots, and the CPU seconds the sandbox used so far."""

    process_cpu_s: float
    now_ms: float
    bots: list[BotState]


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """A scripted fault: ``count`` times still to come (-1: until cleared), ``fired`` times happened."""

    id: int
    kind: str
    bot: int | None
    method: str | None
    count: int
    fired: int
    applied: bool


@dataclass(frozen=True, slots=True)
class FaultAdded:
    """The id of a new fault."""

    id: int


@dataclass(frozen=True, slots=True)
class ChatInfo:
    """A chat as its person sees it; ``version`` grows with every change."""

    chat: dict[str, Any]
    version: int
    messages: list[dict[str, Any]]
    commands: list[dict[str, Any]]
    keyboard: dict[str, Any] | None
    action: str | None
    blocked: bool


@dataclass(frozen=True, slots=True)
class Blocked:
    """Whether a network is cut."""

    blocked: bool


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to say."""
