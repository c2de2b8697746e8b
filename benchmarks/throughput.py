"""Updates a second and their latency, beside python-telegram-bot's own dispatch in one bare process."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from benchmarks.peers.base import Peer
from benchmarks.peers.bash_loop import BashLoop
from benchmarks.peers.ours import Ours
from benchmarks.processes import end, tree
from benchmarks.project import CHAT_ID, SCRIPT, Project, make_bots
from benchmarks.report import say, table
from benchmarks.stage import Stage
from brama.clock import monotonic_s

UPDATES = 20_000
PROBES = 300
PROBE_INTERVAL_S = 0.02
TIMEOUT_S = 180.0
FLEETS = (1, 50, 200)


def _measure(peer: Peer, bots: int) -> tuple[float, list[float]]:
    """Return updates a second through handlers that send nothing, and the latencies of answers in ms."""
    with Stage() as stage, tempfile.TemporaryDirectory(prefix="bench-") as name:
        project = Project(Path(name), stage.base_url, make_bots(bots), SCRIPT.with_name("counting_bot.py"))
        ids = [bot.telegram_id for bot in project.bots]
        for bot in project.bots:
            stage.control.add_bot(bot.token)
        stage.control.send_batch({"bot": bot, "chat_id": CHAT_ID, "text": "last"} for bot in ids)
        peer.start(project)
        try:
            stage.wait_answers(ids, 1, TIMEOUT_S)
            share = UPDATES // bots
            load = [{"bot": bot, "chat_id": CHAT_ID, "text": "{n}", "count": share - 1} for bot in ids]
            load += [{"bot": bot, "chat_id": CHAT_ID, "text": "the last"} for bot in ids]
            began_at = monotonic_s()
            stage.control.send_batch(load)
            rate = share * bots / (stage.wait_answers(ids, 2, TIMEOUT_S) - began_at)
            latencies = _probe(stage, ids)
        finally:
            end(tree(peer.roots()))
    return rate, latencies


def _probe(stage: Stage, ids: Sequence[int]) -> list[float]:
    """Send single messages, one after another, round the fleet; return sandbox-to-answer times in ms."""
    latencies = []
    counts = dict.fromkeys(ids, 2)
    for number in range(PROBES):
        bot = ids[number % len(ids)]
        sent_at = monotonic_s()
        stage.control.send_messages(bot, CHAT_ID, "last")
        counts[bot] += 1
        stage.wait_answers([bot], counts[bot], TIMEOUT_S)
        latencies.append((monotonic_s() - sent_at) * 1000)
        Event().wait(PROBE_INTERVAL_S)
    return latencies


def compare() -> None:
    """Measure bare python-telegram-bot with one bot, then ours with 1, 50 and 200, and print the table."""
    rows = []
    runs: list[tuple[str, Peer, int]] = [("bare run_polling, 1 bot", BashLoop(), 1)]
    runs += [(f"brama-supervisor, {bots} bots", Ours(), bots) for bots in FLEETS]
    for title, peer, bots in runs:
        say(f"measuring throughput of {title} ...")
        rate, latencies = _measure(peer, bots)
        cuts = statistics.quantiles(latencies, n=100)
        rows.append([title, f"{rate:.0f}", f"{cuts[49]:.1f} ms", f"{cuts[98]:.1f} ms"])
    say("\n" + table([f"{UPDATES} updates", "handled a second", "answer p50", "answer p99"], rows) + "\n")
