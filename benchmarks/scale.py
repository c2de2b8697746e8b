"""A thousand bots on this machine: start, memory, idle CPU, stop."""

from threading import Event

from benchmarks.peers.ours import Ours
from benchmarks.processes import cpu_s, pss_bytes, tree
from benchmarks.report import say, table
from benchmarks.scene import running
from brama.clock import monotonic_s

IDLE_S = 60.0


def measure(bots: int) -> None:
    """Start ``bots`` bots, let each answer, leave them alone for a minute, stop them; print the figures."""
    say(f"measuring {bots} bots ...")
    peer = Ours()
    with running(peer, bots) as scene:
        processes = tree(peer.roots())
        memory = pss_bytes(processes)
        before_all, before_master = cpu_s(processes), cpu_s(processes[:1])
        idle_since = monotonic_s()
        Event().wait(IDLE_S)
        idle_s = monotonic_s() - idle_since
        idle_all = (cpu_s(processes) - before_all) / idle_s
        idle_master = (cpu_s(processes[:1]) - before_master) / idle_s
        stop_s = scene.stop()
    rows = [
        ["start command → every bot answered a waiting message", f"{scene.start_s:.1f} s"],
        ["PSS of the whole tree", f"{memory / 2**30:.2f} GiB ({memory / bots / 2**20:.1f} MB a bot)"],
        [f"idle CPU over {idle_s:.0f} s: master", f"{idle_master:.1%} of a core"],
        [f"idle CPU over {idle_s:.0f} s: all", f"{idle_all:.1%} of a core"],
        ["stop of all", f"{stop_s:.1f} s"],
    ]
    say("\n" + table([f"N = {bots}", "brama-supervisor"], rows) + "\n")
