"""Reloads of a configuration in which one bot's entry changed."""

from collections.abc import Callable
from itertools import count
from typing import Any

from benchmarks.evidence import Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.schedule import Blow
from brama.clock import monotonic_s
from brama.errors import NoMasterError, UnreachableError
from supervisor.control.client import RequestRefusedError

#: What was never configured before.
_numbers = count()


def _change_mode(entry: dict[str, Any]) -> None:
    entry["mode"] = "polling" if entry["mode"] == "webhook" else "webhook"


def _change_settings(entry: dict[str, Any]) -> None:
    entry["settings"] = {"number": next(_numbers)}


def _change_arguments(entry: dict[str, Any]) -> None:
    """A bot whose script gets other arguments is drained and started anew."""
    entry["args"] = [str(next(_numbers))]


def _reload(change: Callable[[dict[str, Any]], None]) -> Callable[[Play, Blow], bool]:
    def strike(play: Play, blow: Blow) -> bool:
        if play.standing or (play.disk is not None and play.disk.is_full):
            return False  # a master that starts waits for its zygote, and a reload for the start
        bot, began_at = play.project.bots[blow.bot], monotonic_s()
        change(play.entries[bot.name])
        play.peer.configure(play.project, play.entries)
        try:
            result = play.client.reload(dry_run=False)
        except (NoMasterError, UnreachableError, RequestRefusedError):
            return False  # it is between two lives, and the next one begins with the change
        if not any(touch.bot_id == bot.name for touch in result.bots):
            return False  # it began with the change
        play.strikes.append(Strike(blow.kind, began_at, monotonic_s(), bot.telegram_id))
        return True

    return strike


RELOADS = (
    Kind("reload of a bot's changed settings", 1, _reload(_change_settings)),
    Kind("reload of a bot's changed mode", 3, _reload(_change_mode)),
    Kind("reload of a bot's changed arguments", 1, _reload(_change_arguments)),
)
