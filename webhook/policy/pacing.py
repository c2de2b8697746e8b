"""Decides when something that may happen a thousand times a second is worth a line in the log.

Pure: time is an argument.
"""

import math

#: Between two lines of the log about the same kind of trouble, in seconds.
LOG_EVERY_S = 60.0


class Pace:
    """Lets one through every ``every_s`` seconds, counting the others."""

    __slots__ = ("_every_s", "_held_back", "_last_at")

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last_at = -math.inf
        self._held_back = 0

    def take(self, now: float) -> int | None:
        """Return how many were held back since the last one let through, None if this one is held back."""
        if now - self._last_at < self._every_s:
            self._held_back += 1
            return None
        self._last_at = now
        held_back, self._held_back = self._held_back, 0
        return held_back
