"""How long to wait before the next try.

Pure.
"""

#: First and longest wait, in seconds. A wait is drawn from the upper half, so none is shorter than 0.5 s:
#: Telegram answers the same offset within that time with one update only.
FIRST_S = 1.0
LONGEST_S = 30.0


def wait_s(tries: int, jitter: float, longest_s: float = LONGEST_S) -> float:
    """Return seconds to wait after ``tries`` failures in a row (at least 1).

    Args:
        tries: failures so far; the wait doubles with each.
        jitter: 0 up to 1, drawn anew each time, so that a thousand bots do not come back together.
        longest_s: cap of the wait.
    """
    whole_s = min(longest_s, FIRST_S * 2.0 ** min(tries - 1, 30))
    return whole_s * (0.5 + jitter / 2)
