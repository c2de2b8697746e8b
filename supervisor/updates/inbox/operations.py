"""What can be asked of the inbox's writer.

Frozen, and applied in groups by ``apply_group``. Those of KEPT tell of things that have happened and cannot
be refused: they stay in memory until they are committed. The others are refused when a commit fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from brama.errors import BramaError
from brama.ids import BotId, Seq, UpdateId
from supervisor.updates.model import Candidate, Reason, Source


class LetterError(BramaError):
    """A dead letter is not there, is no update, or waits already: nothing was replayed."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Take a batch in; the result is a tuple of ``Accepted``, one for each candidate."""

    bot_id: BotId
    source: Source
    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class BuryRaw:
    """Make a malformed element a dead letter; the result is whether it was new."""

    bot_id: BotId
    source: Source
    update_id: UpdateId | None
    raw: bytes
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Processed:
    """Bots acknowledged these: erase their bodies."""

    seqs: tuple[Seq, ...]


@dataclass(frozen=True, slots=True)
class Attempted:
    """A row's count of failed tries."""

    seq: Seq
    attempts: int


@dataclass(frozen=True, slots=True)
class Charged:
    """A row's count of deaths it is charged with."""

    seq: Seq
    charges: int


@dataclass(frozen=True, slots=True)
class Bury:
    """A waiting row becomes a dead letter."""

    seq: Seq
    reason: Reason
    error: str
    detail: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep a small value; None forgets the key."""

    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Barrier:
    """Changes nothing; its result comes when everything before it is committed."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Dead letters become waiting rows; the result is a list of (bot id, row), or a LetterError."""

    letter_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Purge dead letters; the result is how many there were."""

    letter_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Abandon:
    """Purge all that waits of a source, and its dead letters; the result is how many updates that were."""

    source: Source


Operation = (
    Accept | BuryRaw | Processed | Attempted | Charged | Bury | Remember | Barrier | Replay | Drop | Abandon
)

#: Operations that a failing commit cannot refuse.
KEPT = (Processed, Attempted, Charged, Bury, Remember, Barrier)


def weight(operation: Operation) -> tuple[int, int]:
    """Return how many rows and how many bytes of bodies an operation writes, roughly."""
    match operation:
        case Accept(candidates=candidates):
            return len(candidates), sum(len(candidate.raw) for candidate in candidates)
        case BuryRaw(raw=raw):
            return 1, len(raw)
        case Processed(seqs=seqs):
            return len(seqs), 0
        case _:
            return 1, 0
