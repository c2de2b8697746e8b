"""Finds the longest time for which a bot let somebody wait.

Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pause:
    """From ``began_at`` (monotonic s) on, for ``length_s``, something waited and the bot answered nothing."""

    began_at: float
    length_s: float


NONE = Pause(0.0, 0.0)


def longest_pause(messages: Iterable[tuple[float, float]], answers: Sequence[float]) -> Pause:
    """Return the longest pause of one bot.

    A pause begins when a message is sent to a bot for which none waits, or with an answer after which others
    still wait; it ends with the bot's next answer.

    Args:
        messages: when each message was sent and first answered; those that were given up are left out.
        answers: when the bot answered anything, repetitions included.
    """
    moments = [moment for sent, answered in messages for moment in ((sent, 1), (answered, -1))]
    moments += [(at, 0) for at in answers]
    waiting, since, longest = 0, 0.0, NONE
    # At one moment a message comes before its answer.
    for at, change in sorted(moments, key=lambda moment: (moment[0], -moment[1])):
        if change == 1:
            since = since if waiting else at
        elif waiting:
            longest = max(longest, Pause(since, at - since), key=lambda pause: pause.length_s)
            since = at
        waiting += change
    return longest
