"""SIGKILL, of whatever there is."""

from benchmarks.evidence import Effect, Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.processes import sigkill
from benchmarks.schedule import Blow
from brama.marks import ZYGOTE_TITLE


def _kill_worker(play: Play, blow: Blow) -> bool:
    bot = play.project.bots[blow.bot]
    try:
        moment = sigkill(play.peer.worker_pid(bot))
    except (LookupError, ProcessLookupError):
        return False  # it is between two lives
    play.strikes.append(Strike(blow.kind, moment, moment, bot.telegram_id, Effect.KILLS))
    return True


def _kill_zygote(play: Play, blow: Blow) -> bool:
    try:
        moment = sigkill(play.peer.pid_titled(ZYGOTE_TITLE))
    except (LookupError, ProcessLookupError):
        return False
    play.strikes.append(Strike(blow.kind, moment, moment))
    return True


def _kill_master(play: Play, blow: Blow) -> bool:
    """Kill the master; it is started again at once, as an init does."""
    if play.disk is not None and play.disk.is_full:
        return False  # the next one would say so and end
    moment = play.peer.kill()
    play.strikes.append(Strike(blow.kind, moment, moment, effect=Effect.KILLS))
    play.release.switch("good")
    play.peer.start(play.project)
    return True


KILLS = (
    Kind("SIGKILL of a worker", 6, _kill_worker),
    Kind("SIGKILL of the zygote", 1, _kill_zygote),
    Kind("SIGKILL of the master", 2, _kill_master),
)
