"""Limits requests by caller.

Pure: time is an argument.
"""


class Pace:
    """Lets each caller make ``per_minute`` requests at once, and as many again in each minute.

    Args:
        per_minute: at least 1.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        #: For each caller, when all it took will have come back; monotonic seconds.
        self._whole_at: dict[str, float] = {}

    def take(self, caller: str, now: float) -> float:
        """Return 0.0 if ``caller`` may go on, else the seconds after which it may ask again."""
        each_s = 60.0 / self._per_minute
        whole_at = max(self._whole_at.get(caller, now), now) + each_s
        wait_s = whole_at - now - 60.0
        if wait_s > 1e-9:
            return wait_s
        self._whole_at[caller] = whole_at
        return 0.0
