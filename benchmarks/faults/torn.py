"""Nonsense in the pipe between a worker and the master."""

import os
import signal

import psutil

from benchmarks.evidence import Effect, Strike
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
    began_at = monotonic_s()

    def note_end() -> None:
        if psutil.pid_exists(pid):
            play.later(0.0, note_end)
        else:
            strike = Strike(blow.kind, began_at, monotonic_s(), bot.telegram_id, Effect.KILLS)
            play.strikes.append(strike)

    play.later(0.0, note_end)
    return True


TORN = (Kind("torn frame of a worker", 2, _tear),)
