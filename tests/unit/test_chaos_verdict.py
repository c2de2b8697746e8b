"""What a chaos run counts as a broken promise."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evidence import Effect, Evidence, Letter, Strike
from benchmarks.project import Project, make_bots
from benchmarks.verdict import BAD_GATEWAY, judge
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


def death(at: float, telegram_id: int | None = BOT) -> Strike:
    return Strike("SIGKILL of a process", at, at, telegram_id, Effect.KILLS)


def refusal(count: int, at: float = 11.5) -> Strike:
    return Strike("502 to a bot's answers", at, at + 1, BOT, refused=count)


FINE = Evidence(
    sent={(BOT, 0): (9.0, 9.5, 10.0)},
    answers=[answer(0, 10), answer(1, 11), answer(2, 12)],
    strikes=[],
    delivered=None,
    taken_over=0,
    letters={},
    tallies={BOT: tally()},
    survivors=0,
)
TWICE = [*FINE.answers, answer(2, 20)]
AGAIN = "2 answered twice without a death before its acknowledgement"


def given_up(letter: Letter, **changes: Any) -> dict[str, Any]:
    """Return what differs where the last message was not answered but given up."""
    return {
        "answers": FINE.answers[:2],
        "letters": {(BOT, 0, 2): letter},
        "tallies": {BOT: tally(processed=2, dead_letters=1)},
        **changes,
    }


POISON = Letter(Reason.POISON)
REFUSED = Letter(Reason.HANDLER_ERROR, BAD_GATEWAY)


def test_a_run_without_fault_breaks_nothing():
    verdict = judge(FINE, PROJECT)
    assert verdict.broken == ()
    assert (verdict.sent, verdict.processed, verdict.lost, verdict.repeated) == (3, 3, 0, 0)
    assert ["order of first answers kept", "1 of 1 chats"] in verdict.rows()
    assert ["longest pause of a bot", "1.00 s (bot0000)"] in verdict.rows()


@pytest.mark.parametrize("strike", [death(12.1), death(12.1, None), death(13.9)])
def test_a_death_before_its_acknowledgement_explains_that_something_came_twice(strike: Strike):
    verdict = judge(replace(FINE, answers=TWICE, strikes=[strike]), PROJECT)
    assert (verdict.broken, verdict.repeated) == ((), 1)


def test_what_holds_up_acknowledgements_lets_a_later_death_explain_it():
    full = Strike("full disk", 12.5, 16.5, effect=Effect.HOLDS)
    verdict = judge(replace(FINE, answers=TWICE, strikes=[full, death(17.0)]), PROJECT)
    assert verdict.broken == ()


@pytest.mark.parametrize("strikes", [[death(12.0)] * 3, [*[death(12.0)] * 3, death(40.0, None)]])
def test_what_died_three_times_alone_may_be_given_up(strikes: list[Strike]):
    verdict = judge(replace(FINE, **given_up(POISON, strikes=strikes)), PROJECT)
    assert (verdict.broken, verdict.letters[Reason.POISON], verdict.lost) == ((), 1, 0)


@pytest.mark.parametrize("strikes", [[refusal(1)], [refusal(2), death(12.6)]])
def test_an_answer_that_the_bot_api_refused_is_given_up(strikes: list[Strike]):
    verdict = judge(replace(FINE, **given_up(REFUSED, strikes=strikes)), PROJECT)
    assert (verdict.broken, verdict.letters[Reason.HANDLER_ERROR], verdict.lost) == ((), 1, 0)


def test_a_death_that_took_a_while_explains_what_was_answered_meanwhile():
    torn = Strike("torn frame of a worker", 11.0, 12.5, BOT, Effect.KILLS)
    assert judge(replace(FINE, answers=TWICE, strikes=[torn]), PROJECT).broken == ()


BROKEN: dict[str, dict[str, Any]] = {
    "lost 1: [2]": {"answers": FINE.answers[:2]},
    "answered after a later one: [1, 0]": {"answers": FINE.answers[::-1]},
    "answered what nobody sent: [3]": {"answers": [*FINE.answers, answer(3, 13)]},
    AGAIN: {"answers": TWICE},
    "2 was given up: ValueError": given_up(Letter(Reason.HANDLER_ERROR, "ValueError"), strikes=[refusal(1)]),
    "2 was given up: expired": given_up(Letter(Reason.EXPIRED)),
    "2 was given up: attempts_spent": given_up(Letter(Reason.ATTEMPTS_SPENT)),
    "0 answers refused for good, 1 given up for it": given_up(REFUSED),
    "2 answers refused for good, 1 given up for it": given_up(REFUSED, strikes=[refusal(2)]),
    "1 answers refused for good, 0 given up for it": {"strikes": [refusal(1), death(40.0)]},
    "1 updates poison at 2 deaths": given_up(POISON, strikes=[death(12), death(13), death(13, None)]),
    "2 was answered and given up without a death before its acknowledgement": given_up(
        REFUSED, answers=FINE.answers, strikes=[refusal(1), death(30)]
    ),
    "committed 3 updates, which had 2 fates": {"tallies": {BOT: tally(processed=2)}},
    "committed 2 of 3 distinct updates": {"tallies": {BOT: tally(committed=2, processed=2)}},
    "counts 1 dead letters and has 0": {"tallies": {BOT: tally(processed=2, dead_letters=1)}},
    "1 updates still wait, 0 counted as duplicates": {"tallies": {BOT: tally(processed=2, waiting=1)}},
    "1 processes outlived the stop": {"survivors": 1},
}


@pytest.mark.parametrize("words", BROKEN)
def test_broken_promises_are_named(words: str):
    verdict = judge(replace(FINE, **BROKEN[words]), PROJECT)
    assert len(verdict.broken) == 1
    assert verdict.broken[0].endswith(words)


OTHERS = {
    "of another bot": death(12.1, BOT + 1),
    "before it": death(11.0),
    "long after it": death(15.0),
    "after both": death(30.0),
    "a zygote's": Strike("SIGKILL of the zygote", 12.1, 12.1),
    "a reload": Strike("reload of a bot's changed mode", 12.1, 12.2, BOT),
    "a worker that went on": Strike("SIGSTOP of a worker, SIGCONT", 12.1, 13.1, BOT, Effect.HOLDS),
    "429": Strike("429 with retry_after", 12.1, 13.1),
}


@pytest.mark.parametrize("other", OTHERS)
def test_nothing_else_explains_that_something_came_twice(other: str):
    verdict = judge(replace(FINE, answers=TWICE, strikes=[OTHERS[other]]), PROJECT)
    assert verdict.broken == (f"bot0000, chat 0: {AGAIN}",)
    assert [OTHERS[other].kind, "1"] in verdict.rows()
