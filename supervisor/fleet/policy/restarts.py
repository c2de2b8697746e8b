"""Decides how long a dead worker waits before it starts again, and when it is given up.

After Erlang's supervisors: a budget (intensity) of restarts in a sliding window (period); one death more than
that, and the cause is not one that restarting cures.
"""

from dataclasses import dataclass

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.model import Limits

#: Waits in seconds before the first, second, ... restart in a row; further ones are three times as long each.
LADDER_S = (0.0, 1.0, 5.0, 15.0, 45.0)
#: A worker that ran this long is back at the foot of the ladder.
FORGIVEN_AFTER_S = 600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a death leads to. ``wait_s`` None: given up."""

    deaths: tuple[float, ...]
    rung: int
    wait_s: float | None
    reason: str


def next_wait_s(rung: int, cooldown_s: float) -> float:
    """Return seconds to wait at ``rung`` of the ladder, never more than ``cooldown_s``."""
    if rung < len(LADDER_S):
        return min(LADDER_S[rung], cooldown_s)
    steps = min(rung - len(LADDER_S) + 1, 20)
    return float(min(LADDER_S[-1] * 3**steps, cooldown_s))


def next_rung(rung: int, ran_s: float) -> int:
    """Return the rung that counts for a process that ended after ``ran_s`` seconds."""
    return 0 if ran_s >= FORGIVEN_AFTER_S else rung


def decide_after_death(
    deaths: tuple[float, ...], rung: int, ran_s: float, now: float, cause: str, limits: Limits
) -> Verdict:
    """Return what follows a death that counts, ``cause`` being the sentence about it."""
    recent = (*(at for at in deaths if now - at < limits.window_s), now)
    climbed = next_rung(rung, ran_s)
    if len(recent) > limits.budget:
        spent = reasons.budget_spent(cause, len(recent), limits.window_s, limits.budget)
        return Verdict(recent, climbed, None, spent)
    wait_s = next_wait_s(climbed, limits.cooldown_s)
    return Verdict(recent, climbed + 1, wait_s, reasons.cooling_down(cause, wait_s))


def decide_after_deferral(rung: int, ran_s: float, cause: str, limits: Limits) -> tuple[int, float, str]:
    """Return rung, wait in seconds (never 0) and reason after an end that spends no budget."""
    climbed = max(1, next_rung(rung, ran_s))
    wait_s = next_wait_s(climbed, max(limits.cooldown_s, LADDER_S[1]))
    return climbed + 1, wait_s, reasons.cooling_down(cause, wait_s)
