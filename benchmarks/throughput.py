"""Updates a second and their latency, beside python-telegram-bot's own dispatch in one bare process."""

import statistics
from threading import Event

from benchmarks.peers.base import Peer
from benchmarks.peers.bash_loop import BashLoop
from benchmarks.peers.ours import Ours
from benchmarks.project import CHAT_ID, SCRIPT
from benchmarks.report import say, table
from benchmarks.scene import ANSWER_TIMEOUT_S, Scene, running
from brama.clock import monotonic_s

UPDATES = 20_000
PROBES = 300
PROBE_INTERVAL_S = 0.02
FLEETS = (1, 50, 200)


def _measure(peer: Peer, bots: int) -> tuple[float, list[float]]:
    """Return updates a second through handlers that send nothing, and the latencies of answers in ms."""
    with running(peer, bots, script=SCRIPT.with_name("counting_bot.py"), first_text="last") as scene:
        share = UPDATES // bots
        load = [{"bot": bot, "chat_id": CHAT_ID, "text": "{n}", "count": share - 1} for bot in scene.ids]
        load += [{"bot": bot, "chat_id": CHAT_ID, "text": "the last"} for bot in scene.ids]
        began_at = monotonic_s()
        scene.stage.control.send_batch(load)
        rate = share * bots / (scene.wait_answers(2) - began_at)
        return rate, _probe(scene)


def _probe(scene: Scene) -> list[float]:
    """Send single messages, one after another, round the fleet; return sandbox-to-answer times in ms."""
    latencies = []
    counts = dict.fromkeys(scene.ids, 2)
    for number in range(PROBES):
        bot = scene.ids[number % len(scene.ids)]
        counts[bot] += 1
        sent_at = monotonic_s()
        scene.stage.control.send_messages(bot, CHAT_ID, "last")
        answered_at = scene.stage.wait_answers([bot], counts[bot], ANSWER_TIMEOUT_S)
        latencies.append((answered_at - sent_at) * 1000)
        Event().wait(PROBE_INTERVAL_S)
    return latencies


def compare() -> None:
    """Measure bare python-telegram-bot with one bot, then ours with 1, 50 and 200, and print the table."""
    rows = []
    runs: list[tuple[str, Peer, int]] = [("bare run_polling, 1 bot", BashLoop(), 1)]
    runs += [(f"brama-supervisor, {bots} {'bot' if bots == 1 else 'bots'}", Ours(), bots) for bots in FLEETS]
    for title, peer, bots in runs:
        say(f"measuring throughput of {title} ...")
        rate, latencies = _measure(peer, bots)
        cuts = statistics.quantiles(latencies, n=100)
        rows.append([title, f"{rate:.0f}", f"{cuts[49]:.1f} ms", f"{cuts[98]:.1f} ms"])
    say("\n" + table([f"{UPDATES} updates", "handled a second", "answer p50", "answer p99"], rows) + "\n")
