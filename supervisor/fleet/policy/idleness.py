"""Decides which idle bots are asked whether they may sleep, and when."""

from collections.abc import Iterable

from brama.ids import BotId

#: A bot that stayed awake is asked again after its idle_timeout, within these bounds, in seconds.
SOONEST_AGAIN_S = 5.0
LATEST_AGAIN_S = 300.0
#: Where others wait for its place, it is asked again after this.
PRESSED_AGAIN_S = 10.0


def next_question_at(
    idle_since: float | None, refused_at: float | None, idle_timeout_s: float, now: float
) -> float:
    """Return when a bot is to be asked, or looked at again should it be busy then; all in monotonic seconds.

    Args:
        idle_since: since when it has had nothing to do; None: it has.
        refused_at: when it last stayed awake though it was asked; None: never.
        idle_timeout_s: how long it must have been idle.
        now: the moment of asking.
    """
    at = (now if idle_since is None else idle_since) + idle_timeout_s
    if refused_at is None:
        return at
    return max(at, refused_at + min(max(idle_timeout_s, SOONEST_AGAIN_S), LATEST_AGAIN_S))


def choose_for_room(idle: Iterable[tuple[BotId, float, float | None]], count: int, now: float) -> list[BotId]:
    """Return up to ``count`` bots to be asked because others wait for room: those that idle longest.

    Args:
        idle: bots that have nothing to do, since when, and when each last stayed awake though asked.
        count: how many others wait.
        now: monotonic seconds.
    """
    willing = [
        (idle_since, bot_id)
        for bot_id, idle_since, refused_at in idle
        if refused_at is None or now - refused_at >= PRESSED_AGAIN_S
    ]
    return [bot_id for _, bot_id in sorted(willing)[: max(count, 0)]]
