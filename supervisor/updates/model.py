"""What the rooms of the update path hand to each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from brama.errors import BramaError
from brama.ids import BotId, Seq, TelegramId, UpdateId


class CommitFailedError(BramaError):
    """Updates could not be written to the inbox; nothing of the batch was confirmed or dispatched."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where updates come from: a bot as Telegram knows it, not as the operator labels it.

    A rotated token keeps its backlog; another bot's token under an old label does not inherit it.
    """

    telegram_id: TelegramId
    base_url: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One decoded update on its way into the inbox.

    ``lane`` orders retries: "c<chat id>", else "u<user id>", else "" (the update alone). ``kind`` is the
    update's own key ("message", "callback_query", ...), "unknown" if there is none we know. ``duplicate`` is
    set when the message window has seen this message: the row is remembered, never queued. ``sent_utc`` is
    Telegram's date of the update in epoch seconds where it states one.
    """

    update_id: UpdateId
    kind: str
    lane: str
    raw: bytes
    duplicate: bool = False
    sent_utc: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An update in the inbox that waits for its bot. ``received_utc`` is in epoch seconds."""

    seq: Seq
    update_id: UpdateId
    kind: str
    lane: str
    raw: bytes
    attempts: int
    charges: int
    received_utc: float


class Verdict(StrEnum):
    """What the inbox made of one candidate."""

    #: A new row that waits for its bot.
    QUEUED = "queued"
    #: A new row that the message window dropped.
    DROPPED = "dropped"
    #: A row with this update_id is there already.
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The committed fate of one candidate; ``row`` is there for QUEUED."""

    update_id: UpdateId
    verdict: Verdict
    row: Row | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the inbox for one source: unprocessed rows, in flight included, and their bytes."""

    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The invariant's terms of one source since its state file was made.

    committed = processed + dropped + dead_letters + purged + waiting. ``repeated`` counts deliveries of rows
    that were known already; they are no rows and stand outside the sum.
    """

    committed: int
    processed: int
    dropped: int
    dead_letters: int
    purged: int
    waiting: int
    repeated: int


class Reason(StrEnum):
    """Why an update became a dead letter."""

    #: A handler raised, and no error handler of the bot took it.
    HANDLER_ERROR = "handler_error"
    #: It was alone in flight at as many deaths of its worker as ``delivery.attempts`` allows.
    POISON = "poison"
    #: Older than ``delivery.max_update_age`` allows for its kind.
    EXPIRED = "expired"
    #: Retryable failures used up ``delivery.attempts``.
    ATTEMPTS_SPENT = "attempts_spent"
    #: Not a JSON object with an integer update_id, or not decodable at all.
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An update that was given up, kept with its body for replay. Times in epoch seconds.

    ``raw`` is empty in listings. ``attempts`` are failed tries and charged deaths. ``bot_id`` is the label at
    arrival; whose update it is says ``source``.
    """

    letter_id: int
    bot_id: BotId
    update_id: UpdateId | None
    kind: str
    reason: Reason
    error: str
    detail: str
    traceback: str
    attempts: int
    received_utc: float
    died_utc: float
    size_bytes: int
    raw: bytes
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of one batch after its commit.

    ``last_update_id`` is the id of the last element whose id can be told, malformed ones included; the next
    poll's offset is one more. ``malformed`` counts elements, whether or not they were buried before.
    """

    last_update_id: UpdateId | None
    queued: int
    dropped: int
    known: int
    malformed: int


class Arrivals(Protocol):
    """Who is told of rows the moment they are durable: the router."""

    def arrived(self, bot_id: BotId, rows: Sequence[Row]) -> None:
        """Queue ``rows``, in arrival order, for their bot."""
