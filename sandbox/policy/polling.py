"""What one ``getUpdates`` request may ask for, given the one before it."""

from dataclasses import dataclass

#: Telegram's longest long poll, in seconds.
MAX_TIMEOUT_S = 50
#: The same offset within this time is made to wait at least as long.
REPEAT_WINDOW_S = 3
#: The same offset within this time gets one update only.
BUSY_REPEAT_WINDOW_S = 0.5
#: A second 409 within this time is held back for as long, which slows two fighting pollers down.
CONFLICT_PAUSE_S = 3.0


@dataclass(frozen=True, slots=True)
class PollRequest:
    """A ``getUpdates`` request within Telegram's limits; ``timeout_s`` 0 asks for an answer at once."""

    offset: int
    limit: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class PreviousPoll:
    """The request before, and when it came in monotonic seconds."""

    offset: int
    at: float


def decide_poll(
    offset: int, limit: int, timeout_s: int, previous: PreviousPoll | None, now: float
) -> PollRequest:
    """Return what Telegram makes of a request: clamped, and slowed down if it repeats an offset."""
    limit = min(max(limit, 1), 100)
    timeout_s = min(max(timeout_s, 0), MAX_TIMEOUT_S)
    if previous is not None and previous.offset == offset:
        if now < previous.at + REPEAT_WINDOW_S:
            timeout_s = max(timeout_s, REPEAT_WINDOW_S)
        if now < previous.at + BUSY_REPEAT_WINDOW_S:
            limit = 1
    return PollRequest(offset, limit, float(timeout_s))
