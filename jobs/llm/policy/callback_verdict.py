"""What an answer to a callback means.

Pure.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

#: 4xx that do not blame the request: it took too long, came too early, or there were too many.
_NOT_NOW = frozenset({408, 425, 429})
#: Nobody is believed who asks for a longer wait.
LONGEST_RETRY_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The backend has it."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """Another try may help, in ``retry_after_s`` seconds at the earliest."""

    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Never:
    """The backend does not take it."""

    reason: str


def judge_answer(status: int, retry_after: str | None, now_utc: float) -> Delivered | NotNow | Never:
    """Return what follows an answer.

    Args:
        status: of HTTP. A redirect is not followed, and counts as a failure that may pass.
        retry_after: the header of that name.
        now_utc: seconds since the epoch.
    """
    if 200 <= status < 300:
        return Delivered()
    if 400 <= status < 500 and status not in _NOT_NOW:
        return Never(f"the backend answered {status}")
    if 300 <= status < 400:
        return NotNow(f"the backend answered {status}; redirects are not followed", 0.0)
    return NotNow(f"the backend answered {status}", read_retry_after(retry_after, now_utc))


def read_retry_after(text: str | None, now_utc: float) -> float:
    """Return the seconds that a Retry-After header asks for, 0.0 if it asks for none that can be meant."""
    if text is None:
        return 0.0
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - now_utc), LONGEST_RETRY_AFTER_S)
