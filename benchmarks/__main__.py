"""``make bench``: measures and prints the tables of docs/benchmarks.md."""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks import fleets
from benchmarks.machine import facts
from benchmarks.peers import pm2, supervisord
from benchmarks.peers.base import Peer
from benchmarks.peers.bash_loop import BashLoop
from benchmarks.peers.ours import Ours
from benchmarks.report import say


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


def main() -> None:
    """Run the measurements named on the command line, all without a name."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--bots", type=int, default=200, help="size of the compared fleets (default: 200)")
    parser.add_argument("tables", nargs="*", default=["fleets"], help="fleets")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as name:
        folder = Path(name)
        say("\n".join(facts(folder)) + "\n")
        if "fleets" in options.tables:
            fleets.compare(find_peers(folder), options.bots)


if __name__ == "__main__":
    main()
