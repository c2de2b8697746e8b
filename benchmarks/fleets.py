"""The same unmodified script under ours and each peer: start, memory, recovery, stop."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.peers.base import Peer
from benchmarks.processes import cpu_s, pss_bytes, sigkill, tree
from benchmarks.project import CHAT_ID, Bot
from benchmarks.report import say, table
from benchmarks.scene import ANSWER_TIMEOUT_S, Scene, running

MESSAGES_A_BOT = 20
KILLS = 15


@dataclass(frozen=True, slots=True)
class Result:
    """One peer's figures. ``cpu_s`` is user plus system of the whole tree until every bot has answered."""

    peer: str
    settings: str
    start_s: float
    cpu_s: float
    pss_bytes: int
    recovery_s: float
    stop_s: float


def measure(peer: Peer, bots: int, kills: int = KILLS) -> Result:
    """Run one peer through the four measurements on a sandbox and a folder of its own.

    Raises:
        TimeoutError: a bot did not answer, or a process outlived the stop.
    """
    with running(peer, bots) as scene:
        spent_s = cpu_s(tree(peer.roots()))
        for number in range(MESSAGES_A_BOT - 1):
            scene.send_to_all(f"message {number}")
        scene.wait_answers(MESSAGES_A_BOT)
        memory = pss_bytes(tree(peer.roots()))
        step = max(bots // kills, 1)
        recoveries = [_recovery_s(scene, bot) for bot in scene.project.bots[::step][:kills]]
        stop_s = scene.stop()
    recovery_s = statistics.median(recoveries)
    return Result(peer.name, peer.settings, scene.start_s, spent_s, memory, recovery_s, stop_s)


def _recovery_s(scene: Scene, bot: Bot) -> float:
    """Kill one bot's process and send it a message; return how long its answer takes."""
    control = scene.stage.control
    pid = scene.peer.worker_pid(bot)
    before = len(control.sent(bot.telegram_id))
    killed_at = sigkill(pid)
    control.send_messages(bot.telegram_id, CHAT_ID, "after the kill")
    return scene.stage.wait_answers([bot.telegram_id], before + 1, ANSWER_TIMEOUT_S) - killed_at


def report(results: Sequence[Result], bots: int) -> str:
    """Return the side-by-side table with the ratios of ours, the first, to the best peer."""
    ours, peers = results[0], results[1:]
    figures: list[tuple[str, Callable[[Result], float], Callable[[float], str]]] = [
        ("start command → every bot answered a waiting message", lambda r: r.start_s, lambda v: f"{v:.2f} s"),
        ("CPU of the tree until then, a bot", lambda r: r.cpu_s / bots * 1000, lambda v: f"{v:.0f} ms"),
        ("PSS of the tree after 20 messages a bot", lambda r: r.pss_bytes / 2**20, lambda v: f"{v:.0f} MB"),
        ("SIGKILL of a worker → its answer (median)", lambda r: r.recovery_s * 1000, lambda v: f"{v:.0f} ms"),
        ("stop of all", lambda r: r.stop_s, lambda v: f"{v:.2f} s"),
    ]
    rows = []
    for title, pick, show in figures:
        ratio = f"{min(map(pick, peers)) / pick(ours):.1f} x" if peers else "-"
        rows.append([title, *(show(pick(result)) for result in results), ratio])
    names = [result.peer for result in results]
    told = "\n".join(f"- {result.peer}: {result.settings}" for result in results)
    return table([f"N = {bots}", *names, "ratio to the best peer"], rows) + "\n\n" + told


def compare(peers: Sequence[Peer], bots: int) -> list[Result]:
    """Measure every peer after another and print as it goes."""
    results = []
    for peer in peers:
        say(f"measuring {peer.name} with {bots} bots ...")
        results.append(measure(peer, bots))
    say("\n" + report(results, bots) + "\n")
    return results
