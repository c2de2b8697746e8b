"""When to save state next, and when to stop waiting for it.

Runs in: worker.
"""

from collections.abc import Sequence
from enum import Enum

#: The least time between two savings, seconds.
MIN_PAUSE_S = 0.25
#: A saving may take this share of the time, one part in so many.
DURATION_FACTOR = 20
#: The longest pause after savings that failed, seconds.
MAX_PAUSE_S = 30.0
#: Failures in a row that are worth waiting for, of another kind than a disk's (what cannot be pickled, say).
MAX_TRIES = 4


class Verdict(Enum):
    """What becomes of the acknowledgements that waited for one saving."""

    SAVED = "saved"
    #: Keep them and try again.
    AGAIN = "again"
    #: Trying again changes nothing: acknowledge, say that the state is not saved.
    HOPELESS = "hopeless"


def next_pause_s(duration_s: float, failures: int) -> float:
    """Return the pause after a saving that took ``duration_s``, the last of ``failures`` failed in a row."""
    pause = max(MIN_PAUSE_S, DURATION_FACTOR * duration_s)
    return min(MAX_PAUSE_S, pause * 2 ** min(failures, 10)) if failures else pause


def judge(errors: Sequence[BaseException], failures: int) -> Verdict:
    """Decide after a saving that met ``errors``; ``failures`` is how many failed in a row, this one included.

    A disk may have room again, so an OSError is waited for without end.
    """
    if not errors:
        return Verdict.SAVED
    if failures < MAX_TRIES or any(isinstance(error, OSError) for error in errors):
        return Verdict.AGAIN
    return Verdict.HOPELESS
