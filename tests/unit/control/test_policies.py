"""Progress, goals, names, words: what commands decide without touching anything."""

import pytest

from supervisor.control.policy.goals import Outcome, judge
from supervisor.control.policy.names import unknown_names
from supervisor.control.policy.progress import MAX_TROUBLES, all_wanted_up, describe_progress, progress_of
from supervisor.control.policy.words import enumerate_words, plural, spell_duration, spell_size
from supervisor.control.ports import Verb
from supervisor.control.status import MasterState
from supervisor.fleet.policy import reasons
from tests.fakes_control import status, worker


def test_progress_counts_wanted_bots_only():
    found = progress_of(
        status(
            worker("a"),
            worker("b", state="STARTING"),
            worker("c", state="FATAL", reason="token rejected", pid=None),
            worker("d", state="STOPPED", wanted="STOPPED", pid=None),
            state=MasterState.STARTING,
        )
    )
    assert (found.bots, found.wanted, found.up, found.settled, found.alive) == (4, 3, 1, 2, 2)
    assert [(each.bot_id, each.reason) for each in found.troubles] == [("c", "token rejected")]
    assert not found.is_settled
    assert describe_progress(found) == "starting 2/3"


def test_progress_names_bots_that_are_held_up_after_those_that_failed():
    reason = "Bot API unreachable: connection refused"
    found = progress_of(
        status(
            worker("a", state="STARTING", reason=reason, pid=None),
            worker("b", state="STARTING", reason="asking Telegram who this is", pid=None),
            worker("c", state="FATAL", reason="token rejected", pid=None),
            worker("d", state="STARTING", wanted="STOPPED", reason=reason, pid=None),
            state=MasterState.STARTING,
        )
    )
    assert (found.up, found.settled, found.held, found.unnamed_troubles) == (0, 1, 1, 0)
    assert [(each.bot_id, each.state) for each in found.troubles] == [("c", "FATAL"), ("a", "STARTING")]
    assert found.troubles[1].reason == reason
    assert not found.is_settled


def test_progress_names_no_more_bots_than_fit():
    names = [f"bot{number}" for number in range(MAX_TROUBLES + 3)]
    unreachable = reasons.unreachable("no route to host")  # as the fleet says it
    found = progress_of(status(*(worker(name, state="STARTING", reason=unreachable) for name in names)))
    assert (len(found.troubles), found.held, found.unnamed_troubles) == (MAX_TROUBLES, MAX_TROUBLES + 3, 3)


def test_progress_of_a_fleet_that_is_up_and_of_one_that_stops():
    up = progress_of(status(worker("a"), worker("b", state="SLEEPING", pid=None)))
    assert up.is_settled
    assert describe_progress(up) == "1 of 2 bots running, 1 sleeping"
    stopping = progress_of(status(worker("a"), worker("b", pid=None), state=MasterState.STOPPING))
    assert describe_progress(stopping, stopping_from=200) == "stopping 199/200"


def test_who_waits_for_an_idle_bots_place_has_not_arrived():
    reason = reasons.making_room("2 bots run, which is limits.max_workers")  # as the fleet says it
    found = progress_of(status(worker("a"), worker("b", state="WAITING", reason=reason, pid=None)))
    assert (found.settled, found.troubles) == (1, ())
    assert judge(Verb.START, 1, worker("b", state="WAITING", reason=reason)) is Outcome.PENDING


def test_an_empty_fleet_is_settled():
    assert progress_of(status()).is_settled
    assert all_wanted_up(status())


@pytest.mark.parametrize(
    ("state", "wanted", "expected"),
    [
        ("RUNNING", "RUNNING", True),
        ("SLEEPING", "RUNNING", True),
        ("STARTING", "RUNNING", False),
        ("BACKOFF", "RUNNING", False),
        ("WAITING", "RUNNING", False),
        ("FATAL", "RUNNING", False),
        ("STOPPED", "STOPPED", True),
    ],
)
def test_the_exit_code_of_status(state, wanted, expected):
    assert all_wanted_up(status(worker("a"), worker("b", state=state, wanted=wanted))) is expected


@pytest.mark.parametrize(
    ("verb", "state", "generation", "expected"),
    [
        (Verb.START, "RUNNING", 1, Outcome.REACHED),
        (Verb.START, "SLEEPING", 1, Outcome.REACHED),
        (Verb.START, "STARTING", 2, Outcome.PENDING),
        (Verb.START, "FATAL", 2, Outcome.MISSED),
        (Verb.START, "WAITING", 1, Outcome.MISSED),
        (Verb.START, "BACKOFF", 2, Outcome.MISSED),
        (Verb.RESTART, "RUNNING", 1, Outcome.PENDING),
        (Verb.RESTART, "STOPPING", 1, Outcome.PENDING),
        (Verb.RESTART, "RUNNING", 2, Outcome.REACHED),
        (Verb.RESTART, "SLEEPING", 1, Outcome.REACHED),
    ],
)
def test_where_a_commanded_bot_stands(verb, state, generation, expected):
    assert judge(verb, 1, worker("a", state=state, generation=generation)) is expected


def test_a_stop_is_through_when_the_bot_is_stopped():
    assert judge(Verb.STOP, 1, worker("a", state="STOPPING", wanted="STOPPED")) is Outcome.PENDING
    assert judge(Verb.STOP, 1, worker("a", state="STOPPED", wanted="STOPPED")) is Outcome.REACHED


def test_a_start_that_somebody_else_undid_is_missed():
    assert judge(Verb.START, 1, worker("a", state="STOPPING", wanted="STOPPED")) is Outcome.MISSED


def test_unknown_names_offer_near_ones():
    assert unknown_names(["shop"], ["shop", "support"]) is None
    assert unknown_names(["shp"], ["shop", "support"]) == "no bot is named 'shp'; did you mean shop?"
    assert unknown_names(["Suport"], ["shop", "support"]) == "no bot is named 'Suport'; did you mean support?"
    assert unknown_names(["x"], ["shop", "a"]) == "no bot is named 'x'; bots are a, shop"
    assert unknown_names(["x"], []) == "no bot is named 'x'; the configuration has no bots"
    many = unknown_names(["zzz"], [f"bot{number}" for number in range(9)])
    assert many == "no bot is named 'zzz'; bots are bot0, bot1, bot2, bot3, bot4 and 4 more"


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (0, "0s"),
        (999, "0s"),
        (45_000, "45s"),
        (60_000, "1m"),
        (310_000, "5m 10s"),
        (7_980_000, "2h 13m"),
        (3_600_500, "1h"),
        (273_600_000, "3d 4h"),
        (86_400_000 + 59_000, "1d"),
    ],
)
def test_durations_in_words(milliseconds, expected):
    assert spell_duration(milliseconds) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0"),
        (512, "512 B"),
        (2048, "2.0 KB"),
        (65_536, "64 KB"),
        (8_400_000, "8.0 MB"),
        (157_286_400, "150 MB"),
        (1_288_490_188, "1.2 GB"),
        (1_100_000_000_000, "1024 GB"),
    ],
)
def test_sizes_in_words(size, expected):
    assert spell_size(size) == expected


def test_lists_in_words():
    assert plural(1, "bot") == "1 bot"
    assert plural(1200, "bot") == "1,200 bots"
    assert enumerate_words(["a"]) == "a"
    assert enumerate_words(["a", "b", "c"]) == "a, b and c"
    assert enumerate_words(list("abcdefg"), limit=2) == "a, b and 5 more"
