"""What a poller does next, as histories: outcomes in, calls and states out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.updates.ingress import IngressState
from supervisor.updates.model import Backlog
from supervisor.updates.policy.backoff import wait_s
from supervisor.updates.policy.polling import (
    CALM_S,
    MAX_LIMIT,
    Act,
    Begun,
    ClearWebhook,
    Committed,
    Conflicted,
    Drained,
    Failed,
    Full,
    GetUpdates,
    Held,
    Identified,
    Identify,
    NotCommitted,
    Polling,
    Rejected,
    Stop,
    Throttled,
    Undecodable,
    Unidentified,
    WebhookCleared,
    after,
    is_full,
    next_call,
)

OK, CONFLICT, OUTAGE, PACED, FULL, OFF, UNAUTHORIZED = (
    IngressState.OK,
    IngressState.CONFLICT,
    IngressState.OUTAGE,
    IngressState.PACED,
    IngressState.FULL,
    IngressState.OFF,
    IngressState.UNAUTHORIZED,
)

#: A bot in the middle of its life, at peace.
POLLING = Polling(OK, "", is_identified=True, is_webhook_cleared=True, is_known=True)


class History:
    """Plays outcomes; no jitter means the shortest waits and the longest polls."""

    def __init__(self, state: Polling = POLLING, jitter: float = 0.0) -> None:
        self.state, self.now, self.jitter = state, 100.0, jitter

    def play(self, *outcomes) -> Act:
        decision: Act | Stop = Act(next_call(self.state, self.jitter))
        for outcome in outcomes:
            self.state, decision = after(outcome, self.state, self.now, self.jitter)
            if isinstance(decision, Act):
                self.now += decision.wait_s
        assert isinstance(decision, Act)
        return decision


def test_a_new_bot_says_who_it_is_then_clears_its_webhook_then_polls():
    history = History(Polling())
    assert history.play() == Act(Identify())
    assert history.play(Identified()) == Act(ClearWebhook())
    assert history.state.ingress is OK
    assert history.play(WebhookCleared()) == Act(GetUpdates(None, MAX_LIMIT, 1.0))


def test_the_offset_follows_the_last_committed_update_and_vanishes_when_nothing_came():
    history = History()
    assert history.play().call == GetUpdates(None, MAX_LIMIT, 1.0)
    assert history.play(Committed(41)).call == GetUpdates(42, MAX_LIMIT, 1.0)
    assert history.play(Committed(7)).call == GetUpdates(8, MAX_LIMIT, 1.0)
    assert history.play(Committed(None)).call == GetUpdates(None, MAX_LIMIT, 1.0)
    assert history.play(Committed(0)).call == GetUpdates(1, MAX_LIMIT, 1.0)


@pytest.mark.parametrize(
    "trouble",
    [
        Failed("x"),
        NotCommitted("x"),
        Conflicted(by_webhook=False),
        Throttled(5),
        Undecodable("x"),
        Full("x"),
        Drained(),
        Held(),
    ],
)
def test_trouble_never_moves_the_offset(trouble):
    history = History(replace(POLLING, offset=42))
    call = history.play(trouble).call
    assert isinstance(call, GetUpdates)
    assert call.offset == 42


def test_waits_grow_to_a_cap_and_are_forgotten_after_a_success():
    history = History()
    waits = [history.play(Failed("x")).wait_s for _ in range(8)]
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
    assert (history.state.ingress, history.state.detail) == (OUTAGE, "x")
    assert history.play(Committed(None)).wait_s == 0
    assert (history.state.ingress, history.state.detail) == (OK, "")
    assert history.play(Failed("x")).wait_s == 0.5


def test_after_an_outage_the_first_poll_is_not_held_open():
    history = History()
    call = history.play(Failed("x")).call
    assert call == GetUpdates(None, MAX_LIMIT, 0.0)
    assert history.play(Committed(None)).call == GetUpdates(None, MAX_LIMIT, 1.0)


def test_a_stray_end_of_a_connection_is_tried_again_without_a_word():
    history = History()
    assert history.play(Failed("closed", is_stray=True)).wait_s == 0.5
    assert history.state.ingress is OK
    history.play(Failed("closed", is_stray=True))
    assert (history.state.ingress, history.state.detail) == (OUTAGE, "closed")


def test_the_first_conflict_is_tried_again_quickly_without_a_word():
    history = History()
    decision = history.play(Conflicted(by_webhook=False))
    assert decision.wait_s == 0.5
    assert history.state.ingress is OK
    history.now += CALM_S
    history.play(Committed(None))
    assert history.state.conflicts == 0


def test_a_conflict_is_retried_at_a_growing_interval_for_ever():
    history = History()
    waits = [history.play(Conflicted(by_webhook=False)).wait_s for _ in range(10)]
    assert waits == [0.5, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert history.state.ingress is CONFLICT
    assert "another process" in history.state.detail


def test_a_success_in_the_middle_of_a_fight_does_not_end_the_conflict():
    history = History()
    history.play(*[Conflicted(by_webhook=False)] * 4)
    history.play(Committed(5))
    assert history.state.ingress is CONFLICT
    history.now += 1
    assert history.play(Conflicted(by_webhook=False)).wait_s == 4
    history.now += CALM_S
    history.play(Committed(None))
    assert (history.state.ingress, history.state.conflicts) == (OK, 0)


def test_polls_are_short_while_a_conflict_may_go_on():
    call = History().play(Conflicted(by_webhook=False)).call
    assert isinstance(call, GetUpdates)
    assert call.patience * 50 > CALM_S
    assert call.patience < 0.5


def test_a_webhook_is_deleted_and_polling_goes_on():
    history = History(replace(POLLING, offset=8))
    assert history.play(Conflicted(by_webhook=True)).call == ClearWebhook()
    assert history.state.ingress is OK
    call = history.play(WebhookCleared()).call
    assert isinstance(call, GetUpdates)
    assert call.offset == 8


def test_a_webhook_that_keeps_being_set_is_a_conflict_that_goes_on():
    history = History()
    waits = []
    for _ in range(5):
        waits.append(history.play(Conflicted(by_webhook=True)).wait_s)
        history.play(WebhookCleared())
    assert waits == [0.5, 0.5, 1, 2, 4]
    assert history.state.ingress is CONFLICT
    assert "webhook" in history.state.detail


@pytest.mark.parametrize("status", [401, 404])
def test_a_rejected_token_ends_polling(status: int):
    state, decision = after(Rejected(status, "no"), POLLING, 0, 0)
    assert decision == Stop()
    assert (state.ingress, state.detail) == (UNAUTHORIZED, f"Telegram rejected the token: {status} no")


def test_a_pause_that_telegram_asks_for_is_kept_exactly():
    for jitter in (0.0, 0.9):
        history = History(jitter=jitter)
        assert history.play(Throttled(37)).wait_s == 37
        assert history.state.ingress is PACED
        assert "37 s" in history.state.detail
    assert History().play(Throttled(10**9)).wait_s == 86_400


def test_a_429_without_a_pause_backs_off():
    history = History()
    assert [history.play(Throttled(None)).wait_s for _ in range(3)] == [0.5, 1, 2]


def test_a_new_token_waits_at_the_gate_and_not_twice():
    history = History(Polling())
    decision = history.play(Throttled(30))
    assert decision == Act(Identify(), 0.0)
    assert history.state.ingress is PACED
    history.play(Held())
    assert history.state.ingress is PACED
    history.play(Identified())
    assert history.state.ingress is OK


def test_a_batch_that_does_not_decode_is_fetched_one_by_one_and_larger_again():
    history = History(replace(POLLING, offset=10))
    call = history.play(Undecodable("x")).call
    assert isinstance(call, GetUpdates)
    assert (call.offset, call.limit) == (10, 1)
    assert history.state.ingress is OK
    limits = []
    for update_id in range(10, 19):
        call = history.play(Committed(update_id)).call
        assert isinstance(call, GetUpdates)
        limits.append(call.limit)
    assert limits == [2, 4, 8, 16, 32, 64, 100, 100, 100]


def test_what_never_decodes_is_an_outage_with_growing_waits():
    history = History()
    waits = [history.play(Undecodable("x")).wait_s for _ in range(4)]
    assert waits == [0.5, 1, 2, 4]
    assert history.state.ingress is OUTAGE


def test_updates_that_cannot_be_written_are_fetched_again():
    history = History(replace(POLLING, offset=5))
    assert history.play(NotCommitted("disk full")) == Act(GetUpdates(5, MAX_LIMIT, 0.0), 0.5)
    assert (history.state.ingress, history.state.detail) == (OUTAGE, "disk full")


def test_a_batch_without_any_id_is_fetched_again_with_what_is_behind_it():
    history = History(replace(POLLING, limit=1))
    decision = history.play(Unidentified(3))
    assert decision == Act(GetUpdates(None, MAX_LIMIT, 0.0), 0.5)
    assert history.state.ingress is OUTAGE
    assert "no update_id and no earlier id is known" in history.state.detail
    assert history.play(Unidentified(3)).wait_s == 1


def test_updates_without_any_id_behind_a_known_one_are_stepped_past():
    history = History(replace(POLLING, offset=5))
    assert history.play(Unidentified(100)) == Act(GetUpdates(105, MAX_LIMIT, 0.0), 0.5)
    assert history.state.ingress is OK
    assert history.play(Unidentified(1)).call == GetUpdates(106, MAX_LIMIT, 0.0)
    assert history.play(*[Unidentified(1)] * 10).wait_s <= 4
    assert history.state.ingress is OUTAGE
    history.play(Committed(200))
    assert (history.state.ingress, history.state.offset) == (OK, 201)


def test_after_a_quiet_time_the_step_is_from_the_last_committed_id():
    """The first step confirms only what is durable for sure."""
    history = History()
    history.play(Committed(9), Committed(None))
    assert history.play(Unidentified(100)).call == GetUpdates(10, MAX_LIMIT, 0.0)
    assert history.play(Unidentified(100)).call == GetUpdates(110, MAX_LIMIT, 0.0)


def test_after_a_quiet_week_the_last_committed_id_says_nothing():
    history = History()
    history.play(Committed(9), Committed(None))
    history.now += 7 * 86_400
    assert history.play(Unidentified(100)).call == GetUpdates(None, MAX_LIMIT, 0.0)


def test_a_poll_that_begins_is_not_off_and_no_end_of_trouble():
    for before, then in [(OFF, OK), (OK, OK), (CONFLICT, CONFLICT), (OUTAGE, OUTAGE)]:
        assert after(Begun(), replace(POLLING, ingress=before), 0.0, 0.0)[0].ingress is then


def test_a_full_backlog_pauses_without_counting_as_failure():
    history = History(jitter=0.5)
    assert history.play(Full("much")).wait_s == 2.0
    assert (history.state.ingress, history.state.detail, history.state.failures) == (FULL, "much", 0)
    assert history.play(Drained()).wait_s == 0
    assert history.state.ingress is OK


@pytest.mark.parametrize(
    ("rows", "size", "was_full", "full"),
    [
        (99, 0, False, False),
        (100, 0, False, True),
        (0, 1000, False, True),
        (90, 0, True, True),
        (89, 0, True, False),
        (0, 900, True, True),
        (89, 899, True, False),
    ],
)
def test_a_full_backlog_must_go_down_to_nine_tenths(rows: int, size: int, was_full: bool, full: bool):
    assert is_full(Backlog(rows, size), 100, 1000, was_full=was_full) is full


@given(st.floats(0, 1, exclude_max=True))
def test_polls_of_a_fleet_end_at_different_times(jitter: float):
    call = next_call(POLLING, jitter)
    assert isinstance(call, GetUpdates)
    assert 0.8 <= call.patience <= 1.0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_no_wait_is_shorter_than_telegram_punishes_or_longer_than_the_cap(tries: int, jitter: float):
    assert 0.5 <= wait_s(tries, jitter) <= 30
    assert 0.5 <= wait_s(tries, jitter, 60) <= 60


OUTCOMES = st.one_of(
    st.just(Identified()),
    st.just(WebhookCleared()),
    st.builds(Committed, st.none() | st.integers(0, 2**31)),
    st.builds(Failed, st.just("x"), st.booleans()),
    st.builds(NotCommitted, st.just("x")),
    st.builds(Undecodable, st.just("x")),
    st.builds(Unidentified, st.integers(1, MAX_LIMIT)),
    st.just(Begun()),
    st.builds(Conflicted, st.booleans()),
    st.builds(Throttled, st.none() | st.floats(0, 1e9)),
    st.just(Held()),
    st.builds(Full, st.just("x")),
    st.just(Drained()),
)


@given(st.lists(st.tuples(OUTCOMES, st.floats(0, 1, exclude_max=True), st.floats(0, 100)), max_size=40))
def test_whatever_happens_polling_goes_on(history):
    """No outcome but a rejection ends it, waits are bounded, and a calm success makes everything good."""
    state, now = Polling(), 0.0
    for outcome, jitter, pause in history:
        state, decision = after(outcome, state, now, jitter)
        assert isinstance(decision, Act)
        assert 0 <= decision.wait_s <= 86_400
        assert 1 <= state.limit <= MAX_LIMIT
        assert (state.detail == "") == (state.ingress in {OK, OFF})
        now += decision.wait_s + pause
    state = replace(state, is_identified=True, is_webhook_cleared=True)
    state, decision = after(Committed(None), state, max(now, state.calm_from) + CALM_S, 0.0)
    assert state.ingress is OK
    assert isinstance(decision, Act)
    assert isinstance(decision.call, GetUpdates)
    assert decision.call.patience == 1.0
