"""Spaces out the first calls of tokens once Telegram has asked for it.

Pure. Telegram's server takes 20 tokens it has not seen before a minute from one address (TELEGRAM.md,
ClientManager.cpp) and answers 429 to the rest. Tokens it knows are not limited, and which those are is not
known here, so nothing is spaced before the first 429.
"""

from dataclasses import dataclass, replace

#: 20 a minute.
SPACING_S = 3.0
#: The limit of new tokens counts over an hour: this long after the last 429 nothing is spaced any more.
MEMORY_S = 3600.0


@dataclass(frozen=True, slots=True)
class StartGate:
    """When the next first call may be made. Times in monotonic seconds."""

    closed_until: float = 0.0
    next_at: float = 0.0
    spaced_until: float = 0.0


def shut(gate: StartGate, now: float, retry_after_s: float) -> StartGate:
    """Return the gate after a token's first call was answered 429."""
    until = max(gate.closed_until, now + retry_after_s)
    if until <= gate.closed_until:
        return gate
    return replace(gate, closed_until=until, next_at=until, spaced_until=until + MEMORY_S)


def reserve(gate: StartGate, now: float) -> tuple[StartGate, float]:
    """Return the gate, and when the next in line may make its first call; not after ``now``: at once.

    Whoever has waited must look at ``closed_until`` again: the gate may have been shut meanwhile.
    """
    if now >= gate.spaced_until:
        return gate, now
    at = max(now, gate.next_at)
    return replace(gate, next_at=at + SPACING_S), at
