"""Every kind of fault that can strike. A new one is a ``Kind`` in a file of its own, and a word here."""

from benchmarks.faults.bot_api import BOT_API
from benchmarks.faults.disk import DISK
from benchmarks.faults.hot_restarts import HOT_RESTARTS
from benchmarks.faults.kills import KILLS
from benchmarks.faults.kind import Kind
from benchmarks.faults.reloads import RELOADS
from benchmarks.faults.stops import STOPS
from benchmarks.faults.torn import TORN
from benchmarks.faults.wall_clock import WALL_CLOCK

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (*KILLS, *STOPS, *TORN, *RELOADS, *HOT_RESTARTS, *DISK, *BOT_API, *WALL_CLOCK)
}
