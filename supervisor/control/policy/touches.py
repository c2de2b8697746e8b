"""Says in words what a reload does."""

from collections.abc import Iterator

from supervisor.control.policy.words import enumerate_words
from supervisor.control.ports import BotTouch, ReloadResult

#: How a bot's line begins: as a plan, and as a fact.
_WORDS = {
    "add": ("starts, it is new", "started, it is new"),
    "remove": ("finishes what it has begun and stops", "finishes what it has begun and stops"),
    "replace": ("gives its name to another bot of Telegram", "gives its name to another bot of Telegram"),
    "restart": ("restarts", "restarts"),
    "enable": ("starts", "started"),
    "disable": ("stops", "stops"),
    "update": ("takes in", "took in"),
}


def describe_reload(result: ReloadResult, *, is_plan: bool) -> Iterator[str]:
    """Yield a line for each bot that is touched, and for keys outside of bots."""
    for touch in result.bots:
        yield f"{touch.bot_id}: {_describe(touch, is_plan=is_plan)}"
    if result.applied:
        yield f"{'applies' if is_plan else 'applied'}: {', '.join(result.applied)}"
    if result.waiting:
        yield f"waits for brama-supervisor restart: {', '.join(result.waiting)}"
    if not (result.bots or result.applied or result.waiting):
        yield "nothing would change" if is_plan else "nothing has changed"


def _describe(touch: BotTouch, *, is_plan: bool) -> str:
    words = _WORDS[touch.action][0 if is_plan else 1]
    if touch.action == "update":
        return f"{words} {enumerate_words(touch.keys)}"
    return f"{words} ({enumerate_words(touch.keys)})" if touch.keys and touch.action == "restart" else words
