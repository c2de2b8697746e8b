"""From a webhook request to the end of its handler: updates a second and latency, beside ``run_webhook``."""

import http.client
import statistics
from pathlib import Path
from threading import Event
from typing import Protocol
from urllib.parse import urlsplit

from benchmarks.front import straight_front
from benchmarks.peers.base import Peer
from benchmarks.peers.ours_delivered import OursDelivered
from benchmarks.peers.run_webhook import RunWebhook
from benchmarks.project import SCRIPT, Bot, Project
from benchmarks.report import say, table
from benchmarks.scene import ANSWER_TIMEOUT_S, Scene, running
from benchmarks.updates import make_update
from benchmarks.webhook_order import Order, Target, run_load
from brama.clock import monotonic_s

UPDATES = 20_000
PROBES = 300
PROBE_INTERVAL_S = 0.02
FLEETS = (1, 50, 200)
#: Above every id of the load.
_FIRST_PROBE_ID = 10_000_000


class Delivered(Peer, Protocol):
    """A peer whose bots are delivered to."""

    def target(self, project: Project, bot: Bot) -> Target:
        """Return where a bot's updates go."""


def compare(bare: RunWebhook | None) -> None:
    """Measure ``bare`` with one bot, then ours with 1, 50 and 200, and print the table."""
    counting, webhook = SCRIPT.with_name("counting_bot.py"), SCRIPT.with_name("webhook_bot.py")
    rows = [] if bare is None else [_row("bare run_webhook, 1 bot", bare, 1, webhook)]
    for bots in FLEETS:
        title = f"brama-supervisor, {bots} {'bot' if bots == 1 else 'bots'}"
        rows.append(_row(title, OursDelivered(straight_front()), bots, counting))
    head = [f"{UPDATES} updates by webhook", "handled a second", "answer p50", "answer p99"]
    say("\n" + table(head, rows) + "\n")


def _row(title: str, peer: Delivered, bots: int, script: Path) -> list[str]:
    say(f"measuring webhooks of {title} ...")
    with running(peer, bots, script=script, first_text="last") as scene:
        targets = [peer.target(scene.project, bot) for bot in scene.project.bots]
        rate = _rate(scene, targets)
        cuts = statistics.quantiles(_probe(scene, targets), n=100)
        return [title, f"{rate:.0f}", f"{cuts[49]:.1f} ms", f"{cuts[98]:.1f} ms"]


def _rate(scene: Scene, targets: list[Target]) -> float:
    """Return updates a second from the first request until each bot has answered its last update."""
    load = run_load(Order(targets, UPDATES - len(targets), first_id=1, ends=True))
    scene.wait_answers(2)
    answered_at = max(scene.stage.control.sent(bot)[-1].at_ms / 1000 for bot in scene.ids)
    return load.count / (answered_at - load.began_at)


def _probe(scene: Scene, targets: list[Target]) -> list[float]:
    """Deliver single messages, one after another, round the fleet; return request-to-answer times in ms."""
    latencies = []
    counts = dict.fromkeys(scene.ids, 2)
    parts = urlsplit(targets[0].url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_TIMEOUT_S)
    for number in range(PROBES):
        place = number % len(targets)
        bot, target = scene.ids[place], targets[place]
        counts[bot] += 1
        sent_at = monotonic_s()
        deliver(connection, target, make_update(_FIRST_PROBE_ID + number, place + 1, "last"))
        scene.stage.wait_answers([bot], counts[bot], ANSWER_TIMEOUT_S)
        answered_at = scene.stage.control.sent(bot)[-1].at_ms / 1000
        latencies.append((answered_at - sent_at) * 1000)
        Event().wait(PROBE_INTERVAL_S)
    connection.close()
    return latencies


def deliver(connection: http.client.HTTPConnection, target: Target, update: bytes) -> None:
    """Send one request as Telegram does.

    Raises:
        RuntimeError: it was not answered 200.
    """
    headers = {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": target.secret}
    connection.request("POST", urlsplit(target.url).path, update, headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"a delivery was answered {answer.status}")
