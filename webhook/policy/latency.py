"""Keeps how long the last few minutes' commits took, in little memory.

Durations are counted in buckets of which each is a fifth wider than the one before. Two periods are kept, the
one that runs and the one before it, so that what is shown covers between one and two PERIOD_S.

Pure: time is an argument.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass, field

#: Seconds.
PERIOD_S = 300.0
#: From 0.1 ms to 105 s; Telegram waits for 60 s.
BOUNDS_S = tuple(0.0001 * 2 ** (step / 4) for step in range(81))


@dataclass(frozen=True, slots=True)
class Durations:
    """What is known of ``count`` durations, all in seconds.

    ``p50_s`` and ``p99_s`` are the upper bound of the bucket that the true value is in: at most a fifth above
    it (or 0.1 ms), never below it, and never above ``max_s``.
    """

    count: int = 0
    mean_s: float = 0.0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


@dataclass(slots=True)
class _Period:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0
    max_s: float = 0.0


class RecentDurations:
    """The durations noted within the last PERIOD_S to twice that."""

    __slots__ = ("_before", "_began_at", "_now")

    def __init__(self) -> None:
        self._now: _Period | None = None
        self._before: _Period | None = None
        self._began_at = -math.inf

    def note(self, duration_s: float, now: float) -> None:
        """Count one duration; ``now`` is monotonic."""
        self._turn(now)
        if self._now is None:
            self._now = _Period()
        self._now.counts[bisect_left(BOUNDS_S, duration_s)] += 1
        self._now.total_s += duration_s
        self._now.max_s = max(self._now.max_s, duration_s)

    def summary(self, now: float) -> Durations:
        """Return what is known at ``now``."""
        self._turn(now)
        periods = [period for period in (self._now, self._before) if period is not None]
        if not periods:
            return Durations()
        counts = [sum(column) for column in zip(*(period.counts for period in periods), strict=True)]
        count = sum(counts)
        max_s = max(period.max_s for period in periods)
        return Durations(
            count=count,
            mean_s=sum(period.total_s for period in periods) / count,
            p50_s=_quantile(counts, math.ceil(count * 0.5), max_s),
            p99_s=_quantile(counts, math.ceil(count * 0.99), max_s),
            max_s=max_s,
        )

    def _turn(self, now: float) -> None:
        """Let periods that are over go."""
        if now - self._began_at < PERIOD_S:
            return
        self._before = self._now if now - self._began_at < 2 * PERIOD_S else None
        self._now = None
        self._began_at = now


def _quantile(counts: list[int], rank: int, max_s: float) -> float:
    """Return the upper bound of the bucket that holds the ``rank``-th smallest duration."""
    passed = 0
    for bound, count in zip(BOUNDS_S, counts, strict=False):
        passed += count
        if passed >= rank:
            return min(bound, max_s)
    return max_s
