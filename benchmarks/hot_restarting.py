"""What a hot restart under load is felt like: by whoever delivers updates, and by those who talk to a bot."""

import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import msgspec

from benchmarks.front import straight_front
from benchmarks.paced_load import Delivery, PacedOrder
from benchmarks.peers.ours_delivered import OursDelivered
from benchmarks.report import say, table
from benchmarks.scene import ANSWER_TIMEOUT_S, Scene, running
from brama.clock import monotonic_s
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path

RATE = 200.0
FLEETS = (50, 200)
#: Load before the restart and after it.
CALM_S = 3.0


class _Load:
    """A load that goes on in a process of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.deliveries: list[Delivery] = []

    def end(self) -> None:
        """Send no more; ``deliveries`` are known from then on."""
        said, _ = self._process.communicate(timeout=ANSWER_TIMEOUT_S)
        self.deliveries = msgspec.json.decode(said, type=list[Delivery])


@contextmanager
def _loaded(order: PacedOrder) -> Iterator[_Load]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.paced_load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        yield _Load(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def measure() -> None:
    """Restart fleets hot under load and print what was seen."""
    rows = [_row(bots) for bots in FLEETS]
    head = [
        f"hot restart at {RATE:.0f} updates a second",
        "all renewed after",
        "requests",
        "refused or failed",
        "answer p99",
        "longest answer",
        "longest pause of a bot",
        "median pause",
        "lost",
        "twice",
    ]
    say("\n" + table(head, rows) + "\n")


def _row(bots: int) -> list[str]:
    say(f"measuring a hot restart of {bots} bots ...")
    peer = OursDelivered(straight_front())
    with running(peer, bots) as scene:
        targets = [peer.target(scene.project, bot) for bot in scene.project.bots]
        with _loaded(PacedOrder(targets, RATE, first_id=1_000_000)) as load:
            Event().wait(CALM_S)
            began_at, renewed_s = _restart(scene)
            Event().wait(CALM_S)
            load.end()
        judged = _judge(scene, load.deliveries, began_at, began_at + renewed_s)
        return [f"{bots} bots", f"{renewed_s:.1f} s", *judged]


def _restart(scene: Scene) -> tuple[float, float]:
    """Restart hot; return the moment the next master had proven itself, and the seconds until all was new."""
    client = ControlClient(socket_path(scene.project.folder / "state"))
    before = client.restart().hot_restarts
    began_at = monotonic_s()
    while (master := client.status().master).hot_restarts == before or master.renewing:
        Event().wait(0.05)
    return began_at, monotonic_s() - began_at


def _judge(scene: Scene, deliveries: list[Delivery], since: float, until: float) -> list[str]:
    """Return the cells about what was delivered from ``since`` to ``until``, and what became of it."""
    taken = Counter((each.target, each.number) for each in deliveries if each.status == "200")
    expected = Counter(target for target, _ in taken)
    for target, bot in enumerate(scene.ids):
        scene.stage.wait_answers([bot], 1 + expected[target], ANSWER_TIMEOUT_S)
    answered: Counter[tuple[int, int]] = Counter()
    pauses = dict.fromkeys(range(len(scene.ids)), 0.0)
    sent_at = {(each.target, each.number): each.sent_at for each in deliveries}
    for target, bot in enumerate(scene.ids):
        for call in scene.stage.control.sent(bot)[1:]:
            key = target, int(call.params["text"])
            answered[key] += 1
            if since <= sent_at[key] <= until:
                pauses[target] = max(pauses[target], call.at_ms / 1000 - sent_at[key])
    during = [each for each in deliveries if since - 1 <= each.sent_at <= until]
    failed = Counter(each.status for each in deliveries if each.status != "200")
    durations = [each.took_s for each in during]
    return [
        str(len(deliveries)),
        ", ".join(f"{count} {status}" for status, count in failed.items()) or "0",
        f"{statistics.quantiles(durations, n=100)[98] * 1000:.0f} ms",
        f"{max(durations) * 1000:.0f} ms",
        f"{max(pauses.values()) * 1000:.0f} ms",
        f"{statistics.median(pauses.values()) * 1000:.0f} ms",
        str(sum((taken - answered).values())),
        str(sum((answered - taken).values())),
    ]
