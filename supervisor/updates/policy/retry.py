"""Decides what becomes of an update whose handler failed.

Pure. A retry repeats everything the handler does, so it is safe only where nothing has been said to a user:
the failure came before anything was sent, or Telegram itself asked to wait, and no write of this update
had succeeded. Anything else is a dead letter that a person can replay.
"""

from dataclasses import dataclass

from brama.messages import Failed
from supervisor.updates.model import Reason

#: The first wait before a retry; each later one doubles, up to MAX_DELAY_S.
BASE_DELAY_S = 1.0
MAX_DELAY_S = 60.0
#: A wait is lengthened by up to this share of itself, so that updates that failed together part.
JITTER_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``delivery.attempts``: tries in all; ``delivery.retry_handlers``: whether any exception is retried."""

    attempts: int
    retry_handlers: bool


@dataclass(frozen=True, slots=True)
class Retry:
    """Deliver it again after ``delay_s``; ``attempts`` is its new count of failed tries."""

    delay_s: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Bury:
    """Make it a dead letter."""

    reason: Reason


def decide_retry(failure: Failed, attempts: int, policy: RetryPolicy, jitter: float) -> Retry | Bury:
    """Return what to do with an update that failed.

    Args:
        failure: what the worker said.
        attempts: tries of this update that failed before this one.
        policy: the operator's settings.
        jitter: a random number in [0, 1).
    """
    if failure.retry_after_s is not None and (policy.retry_handlers or not failure.wrote):
        return Retry(failure.retry_after_s, attempts)
    harmless = failure.before_send and not failure.wrote
    if not harmless and not policy.retry_handlers:
        return Bury(Reason.HANDLER_ERROR)
    if attempts + 1 >= policy.attempts:
        return Bury(Reason.ATTEMPTS_SPENT)
    delay_s = min(BASE_DELAY_S * 2**attempts, MAX_DELAY_S)
    return Retry(delay_s * (1 + JITTER_SHARE * jitter), attempts + 1)
