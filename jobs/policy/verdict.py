"""What becomes of an attempt that failed.

Pure.
"""

from dataclasses import dataclass
from enum import StrEnum

from jobs.policy.backoff import Backoff


class Cause(StrEnum):
    """Why a job failed; ``reason`` of a dead letter."""

    #: The handler raised, and attempts are used up.
    ERROR = "error"
    #: The handler said that trying again changes nothing.
    PERMANENT = "permanent"
    #: The last attempt took longer than the type's timeout.
    TIMEOUT = "timeout"
    #: No handler of that name is known to the worker of its queue.
    UNKNOWN_TYPE = "unknown_type"
    #: The payload is not what the type takes.
    BAD_PAYLOAD = "bad_payload"
    #: The handler returned what the type does not.
    BAD_RESULT = "bad_result"
    #: The worker died with it, or lost its lock, more often than it has attempts.
    STALLED = "stalled"
    #: Found failed in the engine without a dead letter of ours.
    FOUND_FAILED = "found_failed"
    #: The engine refused to take it from the outbox.
    REFUSED = "refused"


#: Another attempt may end otherwise.
_TRIED_AGAIN = frozenset({Cause.ERROR, Cause.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of a failed attempt.

    Args:
        cause: what went wrong.
        error: one line of what was raised.
        stack: the traceback, or nothing.
        retry_after_s: how long the other side asked us to wait, in seconds.
    """

    cause: Cause
    error: str
    stack: str = ""
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Another attempt in ``wait_s`` seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A dead letter."""


def decide(
    failure: Failure, attempt: int, attempts: int, backoff: Backoff, jitter: float
) -> TryAgain | GiveUp:
    """Return what follows ``failure`` of ``attempt`` (1 is the first) out of ``attempts``.

    A wait that was asked for (Retry-After) is kept to exactly, where the backoff is not longer; it spends an
    attempt like any failure. ``jitter`` is 0 up to 1.
    """
    if failure.cause not in _TRIED_AGAIN or attempt >= attempts:
        return GiveUp()
    return TryAgain(max(failure.retry_after_s, backoff.wait_s(attempt, jitter)))
