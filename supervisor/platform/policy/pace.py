"""Decides when the platform is asked next.

Pure. After an answer the interval passes. After a failure the platform is asked sooner, first after
``FIRST_RETRY_S``, then after twice the wait each time until it is the interval again: bots that came into
being during a short outage do not wait for a long interval. No wait of ours is exact, so that masters that
were started together do not ask together.
"""

#: Wait after the first failure, in seconds, if the interval is not shorter.
FIRST_RETRY_S = 5.0
#: A wait is this share shorter or longer.
JITTER_SHARE = 0.1
#: Longest pause that a platform can ask for, in seconds.
MAX_PAUSE_S = 3600.0


def next_wait_s(interval_s: float, failures: int, asked_pause_s: float | None, jitter: float) -> float:
    """Return seconds until the next question.

    Args:
        interval_s: ``bots_source.interval``.
        failures: questions in a row without an answer, the last one included; 0 after an answer.
        asked_pause_s: seconds of the last answer's ``Retry-After``, None without; never undercut up to
            MAX_PAUSE_S.
        jitter: 0 up to 1, drawn anew each time.
    """
    wait_s = interval_s
    if failures:
        wait_s = min(interval_s, FIRST_RETRY_S * 2.0 ** min(failures - 1, 30))
    wait_s *= 1 + JITTER_SHARE * (2 * jitter - 1)
    if asked_pause_s is None:
        return wait_s
    return max(wait_s, min(asked_pause_s, MAX_PAUSE_S) * (1 + JITTER_SHARE * jitter))


def read_pause_s(header: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` names, None if it is absent, a date or no number."""
    return float(header) if header and header.isascii() and header.isdigit() and len(header) < 10 else None
