"""``make bench``: measures and prints the tables of docs/benchmarks.md."""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks import (
    fleets,
    hot_restarting,
    jobs_latency,
    jobs_throughput,
    loss,
    on_demand,
    reloading,
    restarts,
    scale,
    throughput,
    webhook_accepting,
    webhook_handling,
)
from benchmarks.machine import facts
from benchmarks.peers import pm2, run_webhook, supervisord
from benchmarks.peers.base import Peer
from benchmarks.peers.bash_loop import BashLoop
from benchmarks.peers.ours import Ours
from benchmarks.report import say

TABLES = (
    "fleets",
    "scale",
    "throughput",
    "loss",
    "reloading",
    "restarts",
    "hot-restarts",
    "webhooks",
    "on-demand",
    "jobs",
)


def find_peers(folder: Path) -> list[Peer]:
    """Return ours and every peer that can be installed into ``folder``; say which cannot."""
    peers: list[Peer] = [Ours(), BashLoop()]
    try:
        peers.append(supervisord.Supervisord(supervisord.install(folder / "supervisord")))
    except subprocess.CalledProcessError:
        say("supervisord is left out: PyPI is out of reach")
    if shutil.which("npm") is None:
        say("pm2 is left out: there is no npm")
    else:
        try:
            peers.append(pm2.Pm2(pm2.install(folder / "pm2")))
        except subprocess.CalledProcessError:
            say("pm2 is left out: the npm registry is out of reach")
    return peers


def find_run_webhook(folder: Path) -> run_webhook.RunWebhook | None:
    """Return python-telegram-bot's own webhook server, installed into ``folder``; say so if it cannot be."""
    try:
        return run_webhook.RunWebhook(run_webhook.install(folder / "run_webhook"))
    except subprocess.CalledProcessError:
        say("bare run_webhook is left out: PyPI is out of reach")
        return None


def main() -> None:
    """Run the measurements named on the command line, all without a name."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--bots", type=int, default=200, help="size of the compared fleets (default: 200)")
    parser.add_argument("--scale", type=int, default=1000, help="size of the large fleet (default: 1000)")
    parser.add_argument(
        "--registered", type=int, default=10_000, help="size of the fleet on demand (default: 10000)"
    )
    parser.add_argument("tables", nargs="*", help=f"any of {', '.join(TABLES)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as name:
        folder = Path(name)
        say("\n".join(facts(folder)) + "\n")
        wanted = options.tables or TABLES
        if "fleets" in wanted:
            fleets.compare(find_peers(folder), options.bots)
        if "scale" in wanted:
            scale.measure(options.scale)
        if "throughput" in wanted:
            throughput.compare()
        if "reloading" in wanted:
            reloading.measure(options.bots)
        if "restarts" in wanted:
            restarts.report()
        if "hot-restarts" in wanted:
            hot_restarting.measure()
        if "on-demand" in wanted:
            on_demand.measure(options.registered, active=min(200, options.registered))
        if "webhooks" in wanted:
            webhook_accepting.compare()
            webhook_handling.compare(find_run_webhook(folder))
        if "jobs" in wanted:
            jobs_throughput.compare()
            jobs_latency.measure()
        if "loss" in wanted:
            loss.compare([BashLoop(), Ours({"restart": {"cooldown": "1s", "budget": 1000}})])


if __name__ == "__main__":
    main()
