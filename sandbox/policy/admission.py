"""The limit on tokens a server has not seen before, as Telegram applies it to each client address."""

from collections import deque
from dataclasses import dataclass, field
from math import ceil


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """New tokens allowed in a sliding minute and in a sliding hour; None is no limit."""

    per_minute: int | None = None
    per_hour: int | None = None


@dataclass(slots=True)
class NewTokens:
    """When new tokens were admitted, in monotonic seconds, oldest first."""

    admitted_at: deque[float] = field(default_factory=deque)

    def admit(self, limits: AdmissionLimits, now: float) -> int:
        """Admit one new token.

        Returns:
            0 when it is admitted, else the whole seconds after which to try again.
        """
        while self.admitted_at and self.admitted_at[0] <= now - 3600:
            self.admitted_at.popleft()
        wait_s = 0.0
        for window_s, most in ((60.0, limits.per_minute), (3600.0, limits.per_hour)):
            if most is None:
                continue
            recent = [at for at in self.admitted_at if at > now - window_s]
            if len(recent) >= most:
                wait_s = max(wait_s, recent[-most] + window_s - now if most else window_s)
        if wait_s > 0:
            return max(1, ceil(wait_s))
        self.admitted_at.append(now)
        return 0
