"""Jumps of the wall clock, for the master and everything below it."""

from benchmarks.evidence import Strike
from benchmarks.faults.kind import Kind
from benchmarks.play import Play
from benchmarks.schedule import Blow
from brama.clock import monotonic_s

#: Seconds ahead of the machine's clock; from one to another it is an hour and a half to two days.
OFFSETS_S = (-90_000, -5_400, 0, 5_400, 90_000)


def _jump(play: Play, blow: Blow) -> bool:
    assert play.wall is not None
    others = [offset for offset in OFFSETS_S if offset != play.wall.offset_s]
    play.wall.jump(others[int(blow.share * len(others))])
    moment = monotonic_s()
    play.strikes.append(Strike(blow.kind, moment, moment))
    return True


def _find_missing(play: Play) -> str | None:
    return "libfaketime is not installed (Debian: libfaketime)" if play.wall is None else None


WALL_CLOCK = (Kind("jump of the wall clock", 2, _jump, _find_missing),)
