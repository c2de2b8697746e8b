"""What a chaos run counts as a broken promise."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.project import Project, make_bots
from benchmarks.verdict import Evidence, Kill, judge
from sandbox.calls import SentCall
from supervisor.updates.model import Reason, Tally

PROJECT = Project(Path("/nowhere"), "http://nowhere", make_bots(1))
BOT = PROJECT.bots[0].telegram_id


def answer(number: int, at_s: float) -> SentCall:
    params = {"chat_id": "1", "text": str(number)}
    return SentCall(number, BOT, "sendMessage", params, at_ms=at_s * 1000)


def tally(**changes: int) -> Tally:
    fine = Tally(committed=3, processed=3, dropped=0, dead_letters=0, purged=0, waiting=0, repeated=0)
    return replace(fine, **changes)


FINE = Evidence(
    sent={(BOT, 0): 3},
    answers=[answer(0, 10), answer(1, 11), answer(2, 12)],
    kills=[],
    reloads={},
    delivered=None,
    given_up={},
    tallies={BOT: tally()},
    survivors=0,
)
TWICE = [*FINE.answers, answer(2, 20)]
POISONED: dict[str, Any] = {
    "answers": FINE.answers[:2],
    "given_up": {(BOT, 0, 2): Reason.POISON},
    "tallies": {BOT: tally(processed=2, dead_letters=1)},
}


def test_a_run_without_fault_has_none():
    verdict = judge(FINE, PROJECT)
    assert verdict.faults == ()
    assert (verdict.sent, verdict.processed, verdict.lost, verdict.repeated) == (3, 3, 0, 0)


@pytest.mark.parametrize("kill", [Kill("worker", BOT, 15.0), Kill("master", None, 15.0)])
def test_a_death_between_explains_that_something_came_twice(kill: Kill):
    verdict = judge(replace(FINE, answers=TWICE, kills=[kill]), PROJECT)
    assert (verdict.faults, verdict.repeated) == ((), 1)


def test_what_died_three_times_alone_may_be_given_up():
    verdict = judge(replace(FINE, **POISONED), PROJECT)
    assert (verdict.faults, verdict.given_up, verdict.lost) == ((), 1, 0)


BROKEN: dict[str, dict[str, Any]] = {
    "lost 1: [2]": {"answers": FINE.answers[:2]},
    "first answers out of order": {"answers": FINE.answers[::-1]},
    "answered what nobody sent: [3]": {"answers": [*FINE.answers, answer(3, 13)]},
    "2 answered twice without a death between": {"answers": TWICE},
    "2 was given up: handler_error": {**POISONED, "given_up": {(BOT, 0, 2): Reason.HANDLER_ERROR}},
    "committed 3 updates, which had 2 fates": {"tallies": {BOT: tally(processed=2)}},
    "committed 2 of 3 distinct updates": {"tallies": {BOT: tally(committed=2, processed=2)}},
    "counts 1 dead letters and has 0": {"tallies": {BOT: tally(processed=2, dead_letters=1)}},
    "1 updates still wait, 0 counted as duplicates": {"tallies": {BOT: tally(processed=2, waiting=1)}},
    "1 processes outlived the stop": {"survivors": 1},
}


@pytest.mark.parametrize("words", BROKEN)
def test_broken_promises_are_named(words: str):
    verdict = judge(replace(FINE, **BROKEN[words]), PROJECT)
    assert len(verdict.faults) == 1
    assert verdict.faults[0].endswith(words)


@pytest.mark.parametrize(
    "kill", [Kill("worker", BOT + 1, 15.0), Kill("zygote", None, 15.0), Kill("worker", BOT, 30.0)]
)
def test_other_deaths_explain_nothing(kill: Kill):
    assert judge(replace(FINE, answers=TWICE, kills=[kill]), PROJECT).faults


def test_reloads_explain_nothing_and_are_shown():
    verdict = judge(replace(FINE, answers=TWICE, reloads={"mode": 2}), PROJECT)
    assert verdict.faults == ("bot0000, chat 0: 2 answered twice without a death between",)
    assert ["reload of a bot's changed mode", "2"] in verdict.rows()
