"""Bodies the control API takes; a field that is missing, unknown or mistyped is named in the answer."""

from typing import Annotated, Any

import msgspec

from sandbox.policy.faults import FaultKind

Positive = Annotated[float, msgspec.Meta(gt=0)]


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object."""


class NewBot(Payload, frozen=True, forbid_unknown_fields=True):
    """Registers a bot; ``first_update_id`` is the id its next update gets."""

    token: str
    username: str | None = None
    first_name: str | None = None
    first_update_id: int | None = None


class NewMessages(Payload, frozen=True, forbid_unknown_fields=True):
    """``count`` messages; ``{n}`` in the text becomes 1, 2, ... count."""

    chat_id: int
    text: str
    count: int = 1
    user_id: int | None = None


class NewMessagesFor(NewMessages, frozen=True, forbid_unknown_fields=True):
    """The same, for the bot it names."""

    bot: int = 0


class Press(Payload, frozen=True, forbid_unknown_fields=True):
    """Presses an inline button."""

    chat_id: int
    message_id: int
    data: str
    user_id: int | None = None


class Block(Payload, frozen=True, forbid_unknown_fields=True):
    """The person of a chat blocks the bot, or no longer does."""

    blocked: bool = True


class BlockWebhook(Payload, frozen=True, forbid_unknown_fields=True):
    """Cuts the network between here and a webhook, or mends it."""

    blocked: bool = True


class NewFault(Payload, frozen=True, forbid_unknown_fields=True):
    """Scripts a fault, see ``sandbox.policy.faults``."""

    kind: FaultKind
    bot: int | None = None
    method: str | None = None
    status: int = 500
    seconds: float | None = None
    count: int = 1
    applied: bool = False
    headers: dict[str, str] = {}
    description: str | None = None


class NewLimits(Payload, frozen=True, forbid_unknown_fields=True):
    """Limits to change; those not named stay."""

    new_tokens_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET
    new_tokens_per_hour: int | msgspec.UnsetType | None = msgspec.UNSET
    update_ttl_s: float | msgspec.UnsetType = msgspec.UNSET
    strict_chats: bool | msgspec.UnsetType = msgspec.UNSET
    webhook_pause_scale: Positive | msgspec.UnsetType = msgspec.UNSET
    webhook_response_limit_s: Positive | msgspec.UnsetType = msgspec.UNSET


class NewUpdates(Payload, frozen=True, forbid_unknown_fields=True):
    """Update objects as Telegram would send them, with or without ``update_id``."""

    updates: list[dict[str, Any]]
