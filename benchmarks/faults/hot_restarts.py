"""Hot restarts: one, two at once, and one to a release that does not start."""

import os
import signal

from benchmarks.evidence import Effect, Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.schedule import Blow
from brama.clock import monotonic_s
from brama.errors import BramaError

#: By then the next master has taken over, on a busy machine too; meanwhile acknowledgements wait in pipes.
TAKEOVER_S = 10.0
#: By then a trial of a release that does not start has failed.
_TRIAL_S = 3.0


def _ask(play: Play, blow: Blow, times: int) -> bool:
    try:
        play.client.status()
    except (BramaError, OSError):
        return False  # it is just starting, and not ready for signals
    now = monotonic_s()
    for _ in range(times):
        os.kill(play.master_pid, signal.SIGUSR2)
    play.strikes.append(Strike(blow.kind, now, now + TAKEOVER_S, effect=Effect.HOLDS))
    return True


def _restart(play: Play, blow: Blow) -> bool:
    return _ask(play, blow, 1)


def _restart_twice(play: Play, blow: Blow) -> bool:
    return _ask(play, blow, 2)


def _restart_broken(play: Play, blow: Blow) -> bool:
    play.release.switch("broken")
    play.later(_TRIAL_S, lambda: play.release.switch("good"))
    return _ask(play, blow, 1)


HOT_RESTARTS = (
    Kind("hot restart", 2, _restart),
    Kind("hot restarts, twice at once", 1, _restart_twice),
    Kind("hot restart to a release that does not start", 1, _restart_broken),
)
