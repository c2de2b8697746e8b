"""Webhook requests taken in a second, beside a handler that does nothing with them."""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import psutil

from benchmarks.front import Front, encrypted_front, straight_front
from benchmarks.machine import fsync_p50_ms
from benchmarks.nginx import is_available
from benchmarks.peers.ours_delivered import OursDelivered
from benchmarks.processes import cpu_s
from benchmarks.project import SCRIPT
from benchmarks.report import say, table
from benchmarks.scene import Scene, running
from benchmarks.webhook_order import Order, Result, Target, run_load
from brama.clock import monotonic_s

#: Ways take turns, so that what else goes on at the machine falls on all of them.
ROUNDS = 5
UPDATES = 20_000
CONNECTIONS = 64
START_TIMEOUT_S = 20.0


@dataclass(slots=True)
class _Way:
    """One way for updates to go, and what was measured of it.

    ``cpu_s`` is that of the server's process alone: no proxy, no bot.
    """

    title: str
    target: Target
    server: psutil.Process
    ca: Path | None = None
    beside: str | None = None
    results: list[Result] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Updates a second: the median of all rounds."""
        return statistics.median(result.rate for result in self.results)


def compare() -> None:
    """Deliver to a bare handler and to a bot that holds what it gets, also through nginx; print the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-webhooks-")))
        has_nginx = is_available()
        if not has_nginx:
            say("the rows with nginx are left out: nginx or openssl is not installed")

        def front(name: str) -> Front:
            return stack.enter_context(encrypted_front(folder / name)) if has_nginx else straight_front()

        bare_front, front_of_ours = front("nginx-bare"), front("nginx")
        bare = stack.enter_context(_bare_handler(bare_front.port))
        peer = OursDelivered(front_of_ours)
        script, options = SCRIPT.with_name("holding_bot.py"), front_of_ours.sandbox_options
        scene = stack.enter_context(running(peer, 1, script=script, stage_options=options))
        ways = _ways(scene, peer, bare, bare_front, front_of_ours)
        fsync_ms = fsync_p50_ms(scene.project.folder)
        say("measuring how fast webhooks are taken in ...")
        for number in range(ROUNDS):
            for way in ways:
                _deliver(way, first_id=1 + number * UPDATES * len(ways) + ways.index(way) * UPDATES)
        say("\n" + _report(ways, fsync_ms) + "\n")


def _ways(
    scene: Scene, peer: OursDelivered, bare: psutil.Process, bare_front: Front, front: Front
) -> list[_Way]:
    (bot,) = scene.project.bots
    master = psutil.Process(peer.roots()[0])
    own = peer.target(scene.project, bot)
    ways = [
        _Way("bare aiohttp handler", Target(f"http://127.0.0.1:{bare_front.port}/webhook/bot", "-"), bare),
        _Way("brama-supervisor", own, master, beside="bare aiohttp handler"),
    ]
    if front.ca is not None:
        through = Target(f"{bare_front.address}/webhook/bot", "-")
        ways += [
            _Way("nginx with TLS, bare aiohttp handler", through, bare, bare_front.ca),
            _Way(
                "nginx with TLS, brama-supervisor",
                peer.target(scene.project, bot, straight=False),
                master,
                front.ca,
                beside="nginx with TLS, bare aiohttp handler",
            ),
        ]
    return ways


def _deliver(way: _Way, first_id: int) -> None:
    ca = None if way.ca is None else str(way.ca)
    before_s = cpu_s([way.server])
    way.results.append(run_load(Order([way.target], UPDATES, first_id, connections=CONNECTIONS, ca=ca)))
    way.cpu_s += cpu_s([way.server]) - before_s


def _report(ways: list[_Way], fsync_ms: float) -> str:
    def median(way: _Way, pick: Callable[[Result], float]) -> float:
        return statistics.median(map(pick, way.results))

    rates = {way.title: way.rate for way in ways}
    rows = [
        [
            way.title,
            f"{way.rate:.0f}",
            "-" if way.beside is None else f"{way.rate / rates[way.beside]:.0%}",
            f"{median(way, lambda result: result.p50_ms):.1f} ms",
            f"{median(way, lambda result: result.p99_ms):.1f} ms",
            f"{way.cpu_s / (ROUNDS * UPDATES) * 1e6:.0f} µs",
        ]
        for way in ways
    ]
    head = [
        f"{ROUNDS} x {UPDATES} updates, {CONNECTIONS} connections, fsync {fsync_ms:.2f} ms",
        "taken a second",
        "of the bare handler",
        "answer p50",
        "answer p99",
        "CPU of the server",
    ]
    return table(head, rows)


@contextmanager
def _bare_handler(port: int) -> Iterator[psutil.Process]:
    """Run ``bare_handler`` on ``port`` until the block ends.

    Raises:
        RuntimeError: it does not listen within START_TIMEOUT_S.
    """
    command = [sys.executable, "-m", "benchmarks.bare_handler", str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL)
    try:
        handler = psutil.Process(process.pid)
        deadline = monotonic_s() + START_TIMEOUT_S
        while not any(each.status == psutil.CONN_LISTEN for each in handler.net_connections()):
            if process.poll() is not None or monotonic_s() > deadline:
                raise RuntimeError("the bare handler did not start")
            Event().wait(0.02)
        yield handler
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)
