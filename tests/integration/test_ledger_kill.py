"""SIGKILL at any moment: what was confirmed is there, what was settled has ended, and the sums are right."""

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from supervisor.updates.inbox.schema import State
from supervisor.updates.model import Verdict
from tests.integration.inbox_tools import SHOP, START, assert_balanced, candidate, opened, query
from tests.integration.ledger_child import SOURCES, body, fate

ROUNDS = 6
ROOT = Path(__file__).parents[2]


def run_and_kill(path: Path, first: int, lines: int) -> tuple[int, int]:
    """Run the child until it has said ``lines`` things; return the last ids accepted and settled."""
    certain = {"accepted": first - 1, "settled": first - 1}
    command = [sys.executable, "-m", "tests.integration.ledger_child", str(path), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            for _, line in zip(range(lines), child.stdout, strict=False):
                word, number = line.split()
                certain[word] = int(number)
        finally:
            child.kill()
        # What it said before the end is certain too.
        for line in child.stdout:
            if line.endswith("\n"):
                word, number = line.split()
                certain[word] = int(number)
    assert child.returncode == -signal.SIGKILL
    return certain["accepted"], certain["settled"]


def check_fates(path: Path, first: int, accepted: int, settled: int) -> int:
    """Compare each update of a round with what the child said of it; return the last id in the file."""
    states = dict(query(path, "SELECT update_id, state FROM updates WHERE update_id >= ?", first))
    assert not set(range(first, accepted + 1)) - states.keys(), "confirmed updates are lost"
    for update_id, number in states.items():
        state = State(number).name.lower()
        allowed = {fate(update_id)} if update_id <= settled else {fate(update_id), "waiting"}
        assert state in allowed, f"update {update_id}"
    return max(states, default=first - 1)


async def test_a_killed_process_loses_nothing_it_confirmed(tmp_path: Path):
    path, dice, first = tmp_path / "brama.db", random.Random(5), 1
    for _ in range(ROUNDS):
        accepted, settled = run_and_kill(path, first, dice.randint(1, 60))
        last = check_fates(path, first, accepted, settled)
        async with opened(path) as ledger:
            for source in SOURCES:
                assert_balanced(ledger.tally(source))
                rows = await ledger.page(source, START, 10**6, 10**9)
                assert [row.raw for row in rows] == [body(row.update_id) for row in rows]
                assert [row.update_id for row in rows] == sorted(row.update_id for row in rows)
                ledger.processed([row.seq for row in rows if fate(row.update_id) == "processed"])
                # The last confirmed ones come again, as after any restart.
                again = [candidate(number) for number in range(max(first, accepted - 20), accepted + 1)]
                known = [each for each in again if each.update_id % 2 == SOURCES.index(source)]
                verdicts = {each.verdict for each in await ledger.accept(SHOP, source, known)}
                assert verdicts <= {Verdict.KNOWN}
        first = last + 1
    states = Counter(dict(query(path, "SELECT state, count(*) FROM updates GROUP BY state")))
    async with opened(path) as ledger:
        tallies = [ledger.tally(source) for source in SOURCES]
    assert sum(tally.committed for tally in tallies) == states.total()
    assert sum(tally.dropped for tally in tallies) == states[State.DROPPED]
    assert sum(tally.processed for tally in tallies) == states[State.PROCESSED]
    assert sum(tally.dead_letters + tally.purged for tally in tallies) == states[State.DEAD]
    assert sum(tally.waiting for tally in tallies) == states[State.WAITING]
