"""When an alert is posted again, and when it is given up.

Pure.
"""

from dataclasses import dataclass

from jobs.policy.backoff import Backoff

#: Between two posts that fail.
BACKOFF = Backoff(first_s=1.0, cap_s=300.0)
#: So often is something posted that the other side refuses as such: for some eight minutes.
MAX_REFUSALS = 10


@dataclass(frozen=True, slots=True)
class Told:
    """The other side has taken it."""


@dataclass(frozen=True, slots=True)
class PostAgain:
    """It is posted again in ``wait_s`` seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It is not posted again."""


def judge(
    status: int | None, failures: int, refusals: int, backoff: Backoff, retry_after_s: float, jitter: float
) -> Told | PostAgain | GiveUp:
    """Return what follows a post.

    An answer that blames the post itself, or sends it elsewhere, ends it after MAX_REFUSALS; anything else
    may pass by itself and is tried for as long as it takes.

    Args:
        status: the answer's; None: there was none.
        failures: posts of this that have failed, this one included if it did.
        refusals: those of them whose answer was a refusal, likewise.
        backoff: the waits between two.
        retry_after_s: how long the other side asked us to wait, in seconds; 0 if it did not.
        jitter: 0 up to 1.
    """
    if status is not None and 200 <= status < 300:
        return Told()
    if refusals >= MAX_REFUSALS:
        return GiveUp()
    return PostAgain(max(min(retry_after_s, backoff.cap_s), backoff.wait_s(failures, jitter)))


def is_refusal(status: int | None) -> bool:
    """Return whether an answer says that the same post will not be taken later either."""
    return status is not None and 300 <= status < 500 and status not in (408, 425, 429)
