"""Which update goes to a webhook next, over how many connections, and when again."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.policy.backoff import Failures, decide_pause
from sandbox.policy.connections import BURST, Connections
from sandbox.policy.lane import lane_of
from sandbox.policy.lanes import Lanes
from sandbox.policy.outcome import answered
from sandbox.policy.queue import Entry, UpdateQueue

FAILED_ONCE = Failures(1, 1)


def pauses(count: int, chance: float) -> list[int]:
    failures, result = Failures(), []
    for _ in range(count):
        failures, pause_s = decide_pause(failures, 0, chance)
        result.append(pause_s)
    return result


def test_pauses_double_and_stay_between_one_minute_and_two() -> None:
    assert pauses(9, 0.0) == [0, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pauses(9, 0.999) == [0, 2, 4, 8, 16, 32, 64, 120, 120]


@pytest.mark.parametrize(("asked_s", "pause_s"), [(5, 5), (3600, 3600), (99_999, 3600), (-5, 2)])
def test_a_wish_takes_the_place_of_the_pause_within_an_hour(asked_s: int, pause_s: int) -> None:
    assert decide_pause(FAILED_ONCE, asked_s, 0.0)[1] == pause_s


def test_a_wish_does_not_lengthen_the_pauses_after_it() -> None:
    failures, _ = decide_pause(FAILED_ONCE, 3600, 0.0)
    assert decide_pause(failures, 0, 0.0)[1] == 2


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), (" 7 ", 7), ("", 0), ("-1", 0), ("1.5", 0), ("Fri, 31 Dec 2027 23:59:59 GMT", 0), ("٣", 0)],
)
def test_only_whole_seconds_are_a_wish(said: str, seconds: int) -> None:
    assert answered(503, "Service Unavailable", said, kept=True).retry_after_s == seconds


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (200, "OK", None),
        (299, "", None),
        (302, "Found", "Wrong response from the webhook: 302 Found"),
        (599, "", "Wrong response from the webhook: 599"),
    ],
)
def test_any_2xx_takes_an_update(status: int, reason: str, error: str | None) -> None:
    assert answered(status, reason, "", kept=True).error == error


@pytest.mark.parametrize(
    ("body", "lane"),
    [
        (b'{"update_id":1,"message":{"chat":{"id":-7},"from":{"id":9}}}', ("chat", -7)),
        (b'{"edited_message":{"chat":{"id":-7}},"update_id":1}', ("chat", -7)),
        (b'{"channel_post":{"chat":{"id":-1007}}}', ("chat", -1007)),
        (b'{"callback_query":{"from":{"id":9},"message":{"chat":{"id":7}}}}', ("callback_query", 9)),
        (b'{"shipping_query":{"from":{"id":9}}}', ("payment", 9)),
        (b'{"pre_checkout_query":{"from":{"id":9}}}', ("payment", 9)),
        (b'{"inline_query":{"id":"5","from":{"id":9}}}', ("inline_query", 9)),
        (b'{"poll":{"id":"5"}}', ("poll", "5")),
        (b'{"poll_answer":{"poll_id":"5","user":{"id":9}}}', ("poll", "5")),
        (b'{"my_chat_member":{"chat":{"id":7},"from":{"id":9}}}', ("my_chat_member", 7)),
        (b'{"business_connection":{"id":"x","user":{"id":9}}}', ("business_connection", 9)),
        (b'{"message":{}}', None),
        (b'{"update_id":1}', None),
        (b'{"callback_query":{"from":{}}}', None),
        (b'{"message":{"chat":7}}', None),
        (b'{"message":7}', None),
        (b"[1]", None),
        (b"{", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_what_waits_for_what(body: bytes, lane: tuple[str, int | str] | None) -> None:
    assert lane_of(body) == lane


def test_a_webhook_that_took_nothing_gets_one_connection_and_a_new_one_every_two_seconds() -> None:
    connections = Connections(40)
    assert connections.acquire(9, 0.0)
    assert not connections.acquire(9, 0.0)
    assert connections.next_open_at(9, 0.0) == inf
    connections.release(0.1, kept=False)
    assert not connections.acquire(9, 1.9)
    assert connections.next_open_at(9, 1.9) == 2.0
    assert connections.acquire(9, 2.0)


def test_a_webhook_that_takes_updates_gets_ten_new_connections_in_half_a_second() -> None:
    connections = Connections(40, last_success_at=0.0)
    assert sum(connections.acquire(99, 0.1) for _ in range(99)) == BURST
    assert connections.next_open_at(99, 0.1) == pytest.approx(0.6)
    assert sum(connections.acquire(99, 0.6) for _ in range(99)) == BURST


def test_after_ten_seconds_without_a_success_no_second_connection_is_opened() -> None:
    connections = Connections(40, last_success_at=0.0)
    assert [connections.acquire(3, 10.0) for _ in range(2)] == [True, True]
    for _ in range(2):
        connections.release(10.1, kept=False)
    assert connections.acquire(3, 12.1)
    assert not connections.acquire(3, 20.0)


def test_open_connections_are_used_whether_the_webhook_takes_updates_or_not() -> None:
    connections = Connections(40, last_success_at=0.0)
    assert all(connections.acquire(3, 1.0) for _ in range(3))
    for _ in range(3):
        connections.release(1.5, kept=True)
    assert sum(connections.acquire(3, 20.0) for _ in range(9)) == 3


def test_connections_without_use_are_closed_after_a_minute() -> None:
    connections = Connections(40, last_success_at=0.0)
    assert connections.acquire(1, 0.0)
    connections.release(1.0, kept=True)
    assert connections.open == 1
    assert connections.acquire(1, 61.0)
    assert connections.open == 1
    connections.release(61.0, kept=False)
    assert connections.open == 0


def test_pauses_between_connections_are_scaled() -> None:
    connections = Connections(40, scale=0.01)
    assert connections.acquire(1, 0.0)
    connections.release(0.0, kept=False)
    assert connections.next_open_at(1, 0.0) == pytest.approx(0.02)


MOVES = st.lists(
    st.tuples(st.sampled_from(["acquire", "release", "lose", "success"]), st.floats(0, 3)), max_size=200
)


@given(MOVES, st.integers(1, 100), st.integers(1, 150))
def test_there_are_never_more_connections_than_allowed(
    moves: list[tuple[str, float]], limit: int, lanes: int
) -> None:
    connections, now, busy = Connections(limit), 0.0, 0
    for move, passed_s in moves:
        now += passed_s
        if move == "acquire":
            # A burst, as after many updates at once.
            while connections.acquire(lanes, now):
                busy += 1
        elif move == "success":
            connections.last_success_at = now
        elif busy:
            busy -= 1
            connections.release(now, kept=move == "release")
        assert connections.busy == busy
        assert busy <= connections.open <= min(limit, max(lanes, 1))


def entries(queue: UpdateQueue, count: int) -> list[Entry]:
    return [queue.append(queue.next_id, b"{}", 1000.0) for _ in range(count)]


def test_a_lane_goes_on_when_its_first_update_is_done() -> None:
    lanes, (first, second, other) = Lanes(), entries(UpdateQueue(1), 3)
    lanes.add(("chat", 1), first, 0.0)
    lanes.add(("chat", 1), second, 0.0)
    lanes.add(("chat", 2), other, 0.0)
    one = lanes.take()
    two = lanes.take()
    assert (one.entries[0], two.entries[0]) == (first, other)
    assert lanes.next_at() is None
    lanes.retry(one, FAILED_ONCE, 5.0)
    assert lanes.next_at() == 5.0
    again = lanes.take()
    assert (again.entries[0], again.failures) == (first, FAILED_ONCE)
    lanes.done(again, 6.0)
    assert lanes.take().entries[0] is second


def test_updates_that_left_the_queue_are_skipped() -> None:
    queue, lanes = UpdateQueue(1), Lanes()
    first, second = entries(queue, 2)
    lanes.add(("chat", 1), first, 0.0)
    lanes.add(("chat", 1), second, 0.0)
    queue.confirm(first)
    assert lanes.next_at() == 0.0
    lane = lanes.take()
    assert lane.entries[0] is second
    lanes.retry(lane, FAILED_ONCE, 5.0)
    queue.clear()
    assert lanes.next_at() is None
    assert len(lanes) == 0


def test_what_is_on_its_way_is_not_forgotten_by_clearing() -> None:
    lanes, (first, second, other) = Lanes(), entries(UpdateQueue(1), 3)
    lanes.add(("chat", 1), first, 0.0)
    lane = lanes.take()
    lanes.add(("chat", 1), second, 0.0)
    lanes.add(("chat", 2), other, 0.0)
    lanes.clear()
    assert lanes.on_their_way() == {first.number}
    assert (len(lanes), lanes.next_at()) == (1, None)
    lanes.done(lane, 1.0)
    assert len(lanes) == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "take", "done", "retry", "confirm", "clear"]), st.integers(0, 5)),
    max_size=120,
)


@given(STEPS)
def test_lanes_are_serial_and_keep_their_order(steps: list[tuple[str, int]]) -> None:
    queue, lanes, now = UpdateQueue(1), Lanes(), 0.0
    chat_of: dict[int, int] = {}
    busy = []
    done_by_chat: dict[int, list[int]] = {}
    for step, number in steps:
        now += 1.0
        if step == "add":
            (entry,) = entries(queue, 1)
            chat_of[entry.number] = number
            lanes.add(("chat", number), entry, now)
        elif step == "take":
            at = lanes.next_at()
            if at is not None and at <= now:
                busy.append(lanes.take())
        elif step in ("done", "retry") and busy:
            lane = busy.pop(number % len(busy))
            if step == "done":
                done_by_chat.setdefault(int(lane.key[1]), []).append(lane.entries[0].number)
                queue.confirm(lane.entries[0])
                lanes.done(lane, now)
            else:
                lanes.retry(lane, FAILED_ONCE, now + number)
        elif step == "confirm" and len(queue):
            queue.confirm(queue.pending()[number % len(queue)])
        elif step == "clear":
            lanes.clear()
        chats = [lane.key for lane in busy]
        assert len(set(chats)) == len(chats)
        assert all(chat_of[lane.entries[0].number] == lane.key[1] for lane in busy)
    for numbers in done_by_chat.values():
        assert numbers == sorted(numbers)
        assert len(set(numbers)) == len(numbers)
