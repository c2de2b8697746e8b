"""How the intake of one bot stands, and who is told."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from brama.ids import BotId


class IngressState(StrEnum):
    """What an operator reads in the column ``ingress``."""

    #: Updates reach the inbox.
    OK = "ok"
    #: Somebody else fetches this bot's updates, or keeps setting another webhook.
    CONFLICT = "conflict"
    #: Telegram rejects the token; nothing more is asked until the bot is started anew.
    UNAUTHORIZED = "unauthorized"
    #: The Bot API does not answer as it should, Telegram cannot reach us, or updates cannot be written.
    OUTAGE = "outage"
    #: Telegram asked for a pause.
    PACED = "paced"
    #: As many updates wait as ``delivery.max_backlog`` and ``max_backlog_size`` allow.
    FULL = "full"
    #: Nothing is fetched: disabled, stopped, or not started yet.
    OFF = "off"


@dataclass(frozen=True, slots=True)
class IngressStatus:
    """How intake stands.

    Attributes:
        state: in a word.
        detail: one line of why, empty for OK and OFF.
        since: when it became so, in monotonic seconds.
        mode: how updates come in now, polling or webhook.
        pending: updates that Telegram holds for the webhook, as it last said; None: not known.
        telegram_error: why it last failed to deliver, while that may matter; None: it did not.
        switches: changes between webhook and polling that were made without being told.
    """

    state: IngressState
    detail: str
    since: float
    mode: Literal["polling", "webhook"] = "polling"
    pending: int | None = None
    telegram_error: str | None = None
    switches: int = 0


class IngressObserver(Protocol):
    """Who is told what intake learns about a bot: the fleet. Calls come from the master's loop."""

    def identity_known(self, bot_id: BotId, identity: bytes) -> None:
        """Take the JSON object that getMe returns; called again when it changed."""

    def token_rejected(self, bot_id: BotId, status: int, detail: str) -> None:
        """Telegram answered 401 or 404, with ``detail`` for a word; intake of the bot has ended."""

    def identity_unreachable(self, bot_id: BotId, detail: str) -> None:
        """Who the bot is cannot be asked now; asking goes on. Called once for each new ``detail``."""
