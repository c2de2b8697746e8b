"""A thousand bots on this machine: start, memory, idle CPU, stop."""

import tempfile
from pathlib import Path
from threading import Event

from benchmarks.peers.ours import Ours
from benchmarks.processes import cpu_s, end, pss_bytes, tree
from benchmarks.project import CHAT_ID, Project, make_bots
from benchmarks.report import say, table
from benchmarks.stage import Stage
from brama.clock import monotonic_s

IDLE_S = 60.0
TIMEOUT_S = 300.0


def measure(bots: int) -> None:
    """Start ``bots`` bots, let each answer, leave them alone for a minute, stop them; print the figures."""
    say(f"measuring {bots} bots ...")
    peer = Ours()
    with Stage() as stage, tempfile.TemporaryDirectory(prefix="bench-") as name:
        project = Project(Path(name), stage.base_url, make_bots(bots))
        ids = [bot.telegram_id for bot in project.bots]
        for bot in project.bots:
            stage.control.add_bot(bot.token)
        stage.control.send_batch({"bot": bot, "chat_id": CHAT_ID, "text": "waiting"} for bot in ids)
        began_at = monotonic_s()
        peer.start(project)
        try:
            start_s = stage.wait_answers(ids, 1, TIMEOUT_S) - began_at
            processes = tree(peer.roots())
            memory = pss_bytes(processes)
            before_all, before_master = cpu_s(processes), cpu_s(processes[:1])
            idle_since = monotonic_s()
            Event().wait(IDLE_S)
            idle_s = monotonic_s() - idle_since
            idle_all = (cpu_s(processes) - before_all) / idle_s
            idle_master = (cpu_s(processes[:1]) - before_master) / idle_s
        except BaseException:
            end(tree(peer.roots()))
            raise
        stopped_at = monotonic_s()
        peer.stop()
        stop_s = monotonic_s() - stopped_at
    rows = [
        ["start command → every bot answered a waiting message", f"{start_s:.1f} s"],
        ["PSS of the whole tree", f"{memory / 2**30:.2f} GiB ({memory / bots / 2**20:.1f} MB a bot)"],
        [f"idle CPU over {idle_s:.0f} s: master", f"{idle_master:.1%} of a core"],
        [f"idle CPU over {idle_s:.0f} s: all", f"{idle_all:.1%} of a core"],
        ["stop of all", f"{stop_s:.1f} s"],
    ]
    say("\n" + table([f"N = {bots}", "brama-supervisor"], rows) + "\n")
