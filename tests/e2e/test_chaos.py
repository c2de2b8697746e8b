"""The short form of ``make chaos``: nobody chooses the moments at which faults of every kind strike."""

import os

from benchmarks.chaos import run
from benchmarks.faults.registry import KINDS

SECONDS = 10.0
SEED = 7
BOTS = 10


def test_faults_of_every_kind_break_no_promise():
    outcome = run(SECONDS, SEED, BOTS)
    verdict = outcome.verdict
    assert verdict.broken == ()
    assert verdict.strikes.keys() == KINDS.keys() - outcome.left_out.keys()
    assert verdict.taken_over > 0
    assert verdict.delivered is None or verdict.delivered > 0
    assert verdict.processed + sum(verdict.letters.values()) >= verdict.sent > 0
    assert not outcome.left_out or os.environ.get("CI") != "true"
