"""What a reload of a large file costs, and whom it touches."""

from benchmarks.peers.ours import Ours
from benchmarks.processes import cpu_s, tree
from benchmarks.report import say, table
from benchmarks.scene import Scene, running
from brama.clock import monotonic_s
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path


def measure(bots: int) -> None:
    """Reload ``bots`` bots after no change, after one of settings, after one that needs a new process."""
    say(f"measuring the reload of {bots} bots ...")
    peer = Ours()
    with running(peer, bots) as scene:
        first = scene.project.bots[0].name
        rows = [
            _row(scene, peer, "nothing", {}),
            _row(scene, peer, "settings of one bot", {first: {"settings": {"greeting": "hello"}}}),
            _row(scene, peer, "arguments of one bot", {first: {"args": ["--new"]}}),
        ]
        scene.stop()
    head = [
        f"changed in a file of {bots} bots",
        "answer",
        "until all run",
        "CPU of the master",
        "new processes",
    ]
    say("\n" + table(head, rows) + "\n")


def _row(scene: Scene, peer: Ours, title: str, changes: dict[str, dict[str, object]]) -> list[str]:
    client = ControlClient(socket_path(scene.project.folder / "state"))
    master = tree(peer.roots())[:1]
    before, spent_s = _pids(client), cpu_s(master)
    peer.configure(scene.project, changes)
    began_at = monotonic_s()
    client.reload(dry_run=False)
    answered_s = monotonic_s() - began_at
    while (after := _pids(client)).keys() != before.keys():
        pass
    settled_s = monotonic_s() - began_at
    renewed = sum(pid != before[bot] for bot, pid in after.items())
    used_s = cpu_s(master) - spent_s
    times = [f"{seconds * 1000:.0f} ms" for seconds in (answered_s, settled_s, used_s)]
    return [title, *times, str(renewed)]


def _pids(client: ControlClient) -> dict[str, int | None]:
    """Return the process of each bot that runs."""
    return {each.bot_id: each.pid for each in client.status().workers if each.state == "RUNNING"}
