"""How long a job waits before its next attempt.

Pure.
"""

from dataclasses import dataclass

from brama.config.values import parse_duration


@dataclass(frozen=True, slots=True)
class Backoff:
    """A wait that doubles with each attempt.

    Args:
        first_s: wait after the first attempt.
        cap_s: longest wait.
    """

    first_s: float
    cap_s: float

    def wait_s(self, attempt: int, jitter: float) -> float:
        """Return seconds to wait after ``attempt`` (1 is the first) has failed.

        Drawn from the upper half, so that jobs which failed together do not come back together; ``jitter`` is
        0 up to 1.
        """
        whole_s = min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 62))
        return whole_s * (0.5 + jitter / 2)


def exponential(first: str, *, cap: str = "5m") -> Backoff:
    """Return a backoff of ``first``, doubled after each attempt, at most ``cap``; both as ``1s`` or ``5m``.

    Raises:
        ValueError: one is no duration, or the cap is below the first wait.
    """
    backoff = Backoff(parse_duration(first), parse_duration(cap))
    if backoff.cap_s < backoff.first_s:
        raise ValueError(f'backoff: the cap "{cap}" is below the first wait "{first}"; write a longer cap')
    return backoff
