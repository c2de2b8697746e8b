"""The short form of ``make chaos``: nobody chooses the moments at which processes are killed."""

from benchmarks.chaos import run

SECONDS = 6.0
SEED = 7
BOTS = 3


def test_random_kills_of_everything_break_no_promise():
    verdict = run(SECONDS, SEED, BOTS)
    assert verdict.faults == ()
    assert set(verdict.kills) == {"worker", "zygote", "master"}
    assert verdict.processed + verdict.given_up == verdict.sent > 0
