"""Ten thousand registered bots on this machine, delivered to, most of them asleep: memory, CPU, wake-up."""

import http.client
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

from benchmarks.front import straight_front
from benchmarks.peers.ours_delivered import OursDelivered
from benchmarks.processes import cpu_s, end, pss_bytes, rss_bytes, tree
from benchmarks.project import Bot, Project, make_bots
from benchmarks.report import say, table
from benchmarks.scene import ANSWER_TIMEOUT_S
from benchmarks.stage import Stage
from benchmarks.updates import make_update
from benchmarks.webhook_handling import deliver
from brama.clock import monotonic_s
from brama.errors import BramaError
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path
from supervisor.control.status import Status

#: While each bot is started once, and after that.
FIRST_IDLE_TIMEOUT = "2s"
IDLE_TIMEOUT = "10m"
IDLE_S = 60.0
ALL_ASLEEP_TIMEOUT_S = 1800.0
#: Asking for the status of all bots is work for the master.
_ASK_EVERY_S = 1.0
_PROBE_INTERVAL_S = 0.02


def measure(registered: int, active: int) -> None:
    """Register ``registered`` bots, let all fall asleep, restart the master, wake ``active`` of them."""
    say(f"measuring {registered} registered bots, {active} of them active ...")
    with Stage() as stage, tempfile.TemporaryDirectory(prefix="bench-") as name:
        project = Project(Path(name), stage.base_url, make_bots(registered))
        for bot in project.bots:
            stage.control.add_bot(bot.token)
        peer = OursDelivered(straight_front(), {"idle_timeout": FIRST_IDLE_TIMEOUT})
        try:
            first_s = _start(peer, project, _is_all_asleep)
            peer.stop()
            peer.extend({"idle_timeout": IDLE_TIMEOUT})
            again_s = _start(peer, project, _is_all_asleep)
            taken_in_s = again_s + _wait_for(project, _is_all_taken_in)
            processes = tree(peer.roots())
            memory, idle = _memory(peer), _idle_shares(peer)
            awake = project.bots[:: max(registered // active, 1)][:active]
            woken, running = _probe(stage, peer, project, awake, 1), _probe(stage, peer, project, awake, 2)
            memory_active = _memory(peer)
            registrations = [stage.control.state(bot.telegram_id).calls["setWebhook"] for bot in awake]
            peer.stop()
        finally:
            end(tree(peer.roots()))
    rows = [
        ["first start: each bot was registered, started, and fell asleep", f"{first_s:.0f} s"],
        ["next start → all known to sleep, webhooks open", f"{again_s:.1f} s"],
        ["next start → every webhook looked at", f"{taken_in_s:.0f} s"],
        ["setWebhook calls a bot, over both starts", f"{statistics.mean(registrations):.2f}"],
        [f"none awake: RSS of the whole tree ({len(processes)} processes)", memory],
        [f"none awake: CPU over {IDLE_S:.0f} s, master / all", idle],
        [f"{active} awake: RSS of the whole tree", memory_active],
        ["request → answer of a sleeping bot, p50 / p99", _quantiles(woken)],
        ["request → answer of a running bot, p50 / p99", _quantiles(running)],
    ]
    say("\n" + table([f"N = {registered}", "brama-supervisor"], rows) + "\n")


def _start(peer: OursDelivered, project: Project, is_reached: Callable[[Status], bool]) -> float:
    """Start the fleet; return the seconds until ``is_reached``."""
    began_at = monotonic_s()
    peer.start(project)
    _wait_for(project, is_reached)
    return monotonic_s() - began_at


def _wait_for(project: Project, is_reached: Callable[[Status], bool]) -> float:
    """Return the seconds until ``is_reached`` holds for the master's status.

    Raises:
        TimeoutError: it does not within ALL_ASLEEP_TIMEOUT_S.
    """
    client = ControlClient(socket_path(project.folder / "state"))
    began_at = monotonic_s()
    while monotonic_s() - began_at < ALL_ASLEEP_TIMEOUT_S:
        try:
            if is_reached(client.status()):
                return monotonic_s() - began_at
        except (BramaError, OSError):  # it is on its way
            pass
        Event().wait(_ASK_EVERY_S)
    raise TimeoutError(f"not reached within {ALL_ASLEEP_TIMEOUT_S:.0f} s")


def _is_all_asleep(status: Status) -> bool:
    return status.totals.sleeping == status.totals.bots


def _is_all_taken_in(status: Status) -> bool:
    return all(worker.ingress == "ok" for worker in status.workers)


def _memory(peer: OursDelivered) -> str:
    processes = tree(peer.roots())
    return f"{rss_bytes(processes) / 2**20:.0f} MB (PSS {pss_bytes(processes) / 2**20:.0f} MB)"


def _idle_shares(peer: OursDelivered) -> str:
    processes = tree(peer.roots())
    before_s = cpu_s(processes[:1]), cpu_s(processes)
    began_at = monotonic_s()
    Event().wait(IDLE_S)
    idle_s = monotonic_s() - began_at
    master, everyone = (
        (cpu_s(processes[:1]) - before_s[0]) / idle_s,
        (cpu_s(processes) - before_s[1]) / idle_s,
    )
    return f"{master:.1%} / {everyone:.1%} of a core"


def _probe(
    stage: Stage, peer: OursDelivered, project: Project, bots: Sequence[Bot], number: int
) -> list[float]:
    """Deliver the ``number``-th message to each of ``bots`` in turn; return request-to-answer times in ms."""
    latencies = []
    parts = urlsplit(peer.target(project, bots[0]).url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_TIMEOUT_S)
    for bot in bots:
        target = peer.target(project, bot)
        sent_at = monotonic_s()
        deliver(connection, target, make_update(number, 1, "hello"))
        stage.wait_answers([bot.telegram_id], number, ANSWER_TIMEOUT_S)
        answered_at = stage.control.sent(bot.telegram_id)[-1].at_ms / 1000
        latencies.append((answered_at - sent_at) * 1000)
        Event().wait(_PROBE_INTERVAL_S)
    connection.close()
    return latencies


def _quantiles(latencies_ms: list[float]) -> str:
    cuts = statistics.quantiles(latencies_ms, n=100)
    return f"{cuts[49]:.1f} ms / {cuts[98]:.1f} ms"
