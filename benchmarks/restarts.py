"""What the master keeps of restarts: its open files and its memory, before and after a thousand of them."""

import os
from dataclasses import dataclass
from threading import Event

import psutil

from benchmarks.peers.ours import Ours
from benchmarks.processes import sigkill
from benchmarks.report import say, table
from benchmarks.scene import Scene, running
from brama.clock import monotonic_s
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path

BOTS = 20
RESTARTS = 1000
#: Restarts before the first look: caches and pools have their size by then.
WARM_UP = 1000
TIMEOUT_S = 60.0
PAUSE_S = 0.05
#: Deaths are forgotten as soon as they may be, so that a longer list of them is not taken for a leak.
CONFIGURATION = {"restart": {"budget": 1_000_000, "cooldown": "0s", "window": "1s"}}


@dataclass(frozen=True, slots=True)
class Held:
    """What the master holds at one moment."""

    open_files: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """What it held before and after ``restarts``, which took ``seconds``."""

    restarts: int
    before: Held
    after: Held
    seconds: float

    @property
    def bytes_a_restart(self) -> float:
        """Growth of memory, shared out."""
        return (self.after.rss_bytes - self.before.rss_bytes) / self.restarts


def measure(restarts: int = RESTARTS, bots: int = BOTS, warm_up: int = WARM_UP) -> Growth:
    """Kill every worker again and again, ``restarts`` deaths in all; look at the master before and after.

    Raises:
        TimeoutError: not every bot runs again TIMEOUT_S after a kill.
    """
    with running(Ours(CONFIGURATION), bots) as scene:
        client = ControlClient(socket_path(scene.project.folder / "state"))
        for _ in range(warm_up // bots):
            _kill_all(client)
        before = _look(scene)
        began_at = monotonic_s()
        for _ in range(restarts // bots):
            _kill_all(client)
        seconds = monotonic_s() - began_at
        growth = Growth(restarts // bots * bots, before, _look(scene), seconds)
        scene.stop()
    return growth


def _kill_all(client: ControlClient) -> None:
    """Kill each bot's worker; wait until others run."""
    killed = {worker.pid for worker in client.status().workers}
    for pid in killed:
        assert pid is not None, "all run"
        sigkill(pid)
    deadline = monotonic_s() + TIMEOUT_S
    while any(each.state != "RUNNING" or each.pid in killed for each in client.status().workers):
        if monotonic_s() > deadline:
            raise TimeoutError(f"not every bot runs {TIMEOUT_S:.0f} s after its worker was killed")
        Event().wait(PAUSE_S)


def _look(scene: Scene) -> Held:
    """Return what the master holds once the connection of the last question is closed at its end, too."""
    [pid] = scene.peer.roots()
    while True:
        open_files = len(os.listdir(f"/proc/{pid}/fd"))
        Event().wait(10 * PAUSE_S)
        if len(os.listdir(f"/proc/{pid}/fd")) == open_files:
            return Held(open_files, psutil.Process(pid).memory_info().rss)


def report() -> None:
    """Measure and print the table."""
    say(f"restarting {BOTS} bots {RESTARTS} times ...")
    growth = measure()
    before, after = growth.before, growth.after
    rows = [
        ["open files", str(before.open_files), str(after.open_files)],
        ["resident memory", *(f"{each.rss_bytes / 2**20:.2f} MB" for each in (before, after))],
    ]
    title = f"master, {growth.restarts} restarts in {growth.seconds:.0f} s"
    say("\n" + table([title, "before", "after"], rows) + "\n")
