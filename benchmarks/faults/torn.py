"""Nonsense in the pipe between a worker and the master."""

import os
import signal

from benchmarks.evidence import Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.schedule import Blow
from brama.clock import monotonic_s


def _tear(play: Play, blow: Blow) -> bool:
    """Have a worker write nonsense (``chaos_bot.py`` does at this signal): it must be ended and replaced."""
    bot = play.project.bots[blow.bot]
    if (pid := play.serving_pid(bot)) is None:
        return False
    try:
        os.kill(pid, signal.SIGUSR1)
    except ProcessLookupError:
        return False
    moment = monotonic_s()
    play.strikes.append(Strike(blow.kind, moment, moment, bot.telegram_id, is_deadly=True))
    return True


TORN = (Kind("torn frame of a worker", 2, _tear),)
