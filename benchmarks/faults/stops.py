"""SIGSTOP, with a SIGCONT after a while or without."""

import os
import signal
from contextlib import suppress

from benchmarks.evidence import Effect, Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.schedule import Blow
from brama.clock import monotonic_s
from brama.marks import ZYGOTE_TITLE

#: Shorter than what a bot's HTTP client, a proxy or the supervisor itself puts up with.
SHORTEST_S, LONGEST_S = 0.3, 1.5


def _stop_worker(play: Play, blow: Blow) -> bool:
    bot = play.project.bots[blow.bot]
    pid = play.serving_pid(bot)
    return pid is not None and _stop(play, blow, pid, bot.telegram_id)


def _hang_worker(play: Play, blow: Blow) -> bool:
    """Stop a worker for good: the supervisor must end it. It does nothing more from this moment on."""
    bot = play.project.bots[blow.bot]
    pid = play.serving_pid(bot)
    if pid is None or not _signal(pid, signal.SIGSTOP):
        return False
    moment = monotonic_s()
    play.strikes.append(Strike(blow.kind, moment, moment, bot.telegram_id, Effect.KILLS))
    return True


def _stop_zygote(play: Play, blow: Blow) -> bool:
    try:
        pid = play.peer.pid_titled(ZYGOTE_TITLE)
    except LookupError:
        return False
    return _stop(play, blow, pid, None)


def _stop_master(play: Play, blow: Blow) -> bool:
    return _stop(play, blow, play.master_pid, None)


def _stop(play: Play, blow: Blow, pid: int, telegram_id: int | None) -> bool:
    if pid in play.standing or not _signal(pid, signal.SIGSTOP):
        return False
    began_at = monotonic_s()
    play.standing.add(pid)

    def go_on() -> None:
        play.standing.remove(pid)
        _signal(pid, signal.SIGCONT)
        play.strikes.append(Strike(blow.kind, began_at, monotonic_s(), telegram_id, Effect.HOLDS))

    play.later(SHORTEST_S + (LONGEST_S - SHORTEST_S) * blow.share, go_on)
    return True


def _signal(pid: int, number: signal.Signals) -> bool:
    """Return whether there is such a process still."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


STOPS = (
    Kind("SIGSTOP of a worker, SIGCONT", 2, _stop_worker),
    Kind("SIGSTOP of a worker for good", 2, _hang_worker),
    Kind("SIGSTOP of the zygote, SIGCONT", 1, _stop_zygote),
    Kind("SIGSTOP of the master, SIGCONT", 1, _stop_master),
)
