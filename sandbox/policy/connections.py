"""How many connections a webhook has, and when one more may be opened.

The rules are those of Telegram's open server (``WebhookActor::create_new_connections``): no more than there
are lanes and than the bot allows; ten new ones in half a second while the webhook takes updates; one, and a
new one every two seconds at most, once it took nothing for ten.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf

#: A webhook that took nothing for so long, in seconds, is taken for one that is down.
DOWN_AFTER_S = 10.0
#: New connections that may be opened within ``BURST_S`` seconds to a webhook that is up.
BURST = 10
BURST_S = 0.5
#: Seconds between two new connections to a webhook that is down.
DOWN_PAUSE_S = 2.0
#: Unused for so long, in seconds, a connection is closed.
IDLE_S = 60.0


@dataclass(slots=True)
class Connections:
    """The connections of one webhook; all times are monotonic seconds.

    Attributes:
        limit: how many there may be, 1 to 100.
        open: how many there are; ``busy`` of them carry an update.
        scale: what the pauses between new connections are multiplied by.
    """

    limit: int
    open: int = 0
    busy: int = 0
    scale: float = 1.0
    last_success_at: float = -inf
    _last_used_at: float = -inf
    _opened_at: deque[float] = field(default_factory=lambda: deque(maxlen=BURST))

    def acquire(self, lanes: int, now: float) -> bool:
        """Take a connection for one update, if there is one or may be one more.

        Args:
            lanes: how many lanes have updates, waiting ones included.
        """
        self._close_idle(now)
        if self.busy >= self.limit:
            return False
        if self.busy == self.open:
            if self.next_open_at(lanes, now) > now:
                return False
            self.open += 1
            self._opened_at.append(now)
        self.busy += 1
        self._last_used_at = now
        return True

    def next_open_at(self, lanes: int, now: float) -> float:
        """Return when one more connection may be opened, infinity if not before another one is closed."""
        down = now > self.last_success_at + DOWN_AFTER_S
        wanted = min(lanes, 1 if down else self.limit)
        if self.open >= wanted:
            return inf
        if down:
            return self._opened_at[-1] + DOWN_PAUSE_S * self.scale if self._opened_at else now
        if len(self._opened_at) < BURST:
            return now
        return self._opened_at[0] + BURST_S * self.scale

    def release(self, now: float, *, kept: bool) -> None:
        """Give a connection back; ``kept``: it is still open."""
        self.busy -= 1
        self._last_used_at = now
        if not kept:
            self.open -= 1

    def _close_idle(self, now: float) -> None:
        if now >= self._last_used_at + IDLE_S:
            self.open = self.busy
