"""The short form of ``make chaos``: nobody chooses the moments at which things are killed and changed."""

from benchmarks.chaos import run

SECONDS = 6.0
SEED = 7
BOTS = 4


def test_random_kills_and_reloads_break_no_promise():
    verdict = run(SECONDS, SEED, BOTS)
    assert verdict.faults == ()
    assert set(verdict.kills) == {"worker", "zygote", "master"}
    assert set(verdict.reloads) == {"settings", "mode"}
    assert verdict.delivered is None or verdict.delivered > 0
    assert verdict.processed + verdict.given_up == verdict.sent > 0
