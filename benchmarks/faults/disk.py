"""A disk without room."""

from benchmarks.evidence import Effect, Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.schedule import Blow
from brama.clock import monotonic_s
from supervisor.updates.inbox.stall import LONGEST_WAIT_S

SHORTEST_S, LONGEST_S = 0.5, 2.0


def _fill(play: Play, blow: Blow) -> bool:
    """Fill the disk that the state is on, and make room after a while."""
    disk = play.disk
    if disk is None or disk.is_full or play.serving_pid(play.project.bots[blow.bot]) is None:
        return False  # a master that starts on a full disk says so and ends
    began_at = monotonic_s()
    disk.fill()

    def free() -> None:
        disk.free()
        # The inbox looks for room no later than this.
        play.strikes.append(Strike(blow.kind, began_at, monotonic_s() + LONGEST_WAIT_S, effect=Effect.HOLDS))

    play.later(SHORTEST_S + (LONGEST_S - SHORTEST_S) * blow.share, free)
    return True


def _find_missing(play: Play) -> str | None:
    return "only root can mount a small disk to fill" if play.disk is None else None


DISK = (Kind("full disk", 1, _fill, _find_missing),)
