"""Draws up what strikes when in a chaos run.

Pure: the same seed, length, bots and kinds give the same schedule, whatever happens in the run.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

#: Seconds between two faults are drawn from this range, shorter where not every kind would have its turn.
GAP_S = (0.2, 1.2)


@dataclass(frozen=True, slots=True)
class Blow:
    """One planned fault.

    Attributes:
        at_s: seconds since the run began.
        kind: its name.
        bot: the number of the bot that is busy then, and that it strikes if it strikes one.
        share: 0 up to 1: how long or how hard, within what the kind allows.
    """

    at_s: float
    kind: str
    bot: int
    share: float


def draw_up(seed: int, seconds: float, bots: int, weights: Mapping[str, int]) -> list[Blow]:
    """Return the schedule: every kind once in random order, then at random by weight.

    Args:
        seed: of all that is random.
        seconds: by when the last fault strikes.
        bots: how many there are.
        weights: how often each kind comes in relation to the others.
    """
    dice = random.Random(seed)
    kinds = dice.sample(list(weights), len(weights))
    moments: list[float] = [dice.uniform(*GAP_S)]
    while moments[-1] < seconds or len(moments) < len(kinds):
        moments.append(moments[-1] + dice.uniform(*GAP_S))
    if len(moments) > len(kinds):
        moments.pop()
    scale = min(1.0, seconds / moments[-1])
    kinds += dice.choices(list(weights), list(weights.values()), k=len(moments) - len(kinds))
    return [
        Blow(moment * scale, kind, dice.randrange(bots), dice.random())
        for moment, kind in zip(moments, kinds, strict=True)
    ]
