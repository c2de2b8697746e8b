"""The queue's offset rules, against a model that keeps a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.policy.queue import EntryState, UpdateQueue

FIRST = 1000


def filled(count: int, expires_at: float = 100.0) -> UpdateQueue:
    queue = UpdateQueue(FIRST)
    for _ in range(count):
        queue.append(queue.next_id, b"{}", expires_at)
    return queue


def ids(queue: UpdateQueue, offset: int = 0, limit: int = 100, now: float = 0.0) -> list[int]:
    return [entry.update_id for entry in queue.take(offset, limit, now)]


def test_an_offset_confirms_lower_ids_only() -> None:
    queue = filled(5)
    assert ids(queue, FIRST + 2) == [1002, 1003, 1004]
    assert queue.confirmed == 2
    assert ids(queue) == [1002, 1003, 1004]


def test_nothing_is_removed_by_being_served() -> None:
    queue = filled(3)
    assert ids(queue, limit=2) == ids(queue, limit=2) == [1000, 1001]
    assert [entry.served for entry in queue.history] == [2, 2, 0]


def test_a_negative_offset_keeps_only_the_newest() -> None:
    queue = filled(5)
    assert ids(queue, -2) == [1003, 1004]
    assert queue.confirmed == 3
    assert ids(queue, -10) == [1003, 1004]


def test_an_offset_just_past_the_tail_confirms_everything() -> None:
    assert ids(filled(3), FIRST + 3 + 10) == []


def test_an_offset_further_past_the_tail_is_answered_from_the_head() -> None:
    queue = filled(3)
    assert ids(queue, FIRST + 3 + 11) == [1000, 1001, 1002]
    assert queue.confirmed == 0


def test_ids_that_restart_lower_are_served_to_a_client_that_asks_for_high_ones() -> None:
    queue = filled(2)
    assert ids(queue, 1002) == []
    queue.next_id = 5
    queue.append(5, b"{}", 100.0)
    assert ids(queue, 1002) == [5]
    assert ids(queue, 6) == []


def test_the_same_id_twice_is_served_twice_and_confirmed_at_once() -> None:
    queue = filled(2)
    queue.append(FIRST, b"{}", 100.0)
    assert ids(queue) == [1000, 1001, 1000]
    assert queue.next_id == 1002
    assert ids(queue, 1001) == [1001]


def test_a_batch_ends_at_four_megabytes() -> None:
    queue = UpdateQueue(FIRST)
    for _ in range(4):
        queue.append(queue.next_id, b"x" * 1_500_000, 100.0)
    assert ids(queue) == [1000, 1001]


def test_an_update_over_four_megabytes_is_served_alone() -> None:
    queue = UpdateQueue(FIRST)
    queue.append(FIRST, b"x" * 10_000_000, 100.0)
    queue.append(FIRST + 1, b"{}", 100.0)
    assert ids(queue) == [1000]


def test_expired_updates_are_gone_wherever_they_stand() -> None:
    queue = UpdateQueue(FIRST)
    for expires_at in (100.0, 10.0, 100.0):
        queue.append(queue.next_id, b"{}", expires_at)
    assert ids(queue, now=9.9) == [1000, 1001, 1002]
    assert ids(queue, now=10.0) == [1000, 1002]
    assert queue.expired == 1
    assert [entry.state for entry in queue.history] == [
        EntryState.PENDING,
        EntryState.EXPIRED,
        EntryState.PENDING,
    ]
    assert ids(queue, now=100.0) == []
    assert len(queue) == 0


def test_dropping_everything_confirms_it() -> None:
    queue = filled(3)
    queue.clear()
    assert ids(queue) == []
    assert queue.confirmed == 3


def test_one_update_is_confirmed_wherever_it_stands_and_once() -> None:
    queue = filled(4)
    middle = queue.pending()[1]
    queue.confirm(middle)
    queue.confirm(middle)
    assert (queue.confirmed, len(queue)) == (1, 3)
    assert ids(queue) == [1000, 1002, 1003]
    assert ids(queue, 1003) == [1003]
    queue.drop_expired(queue.pending()[0])
    queue.drop_expired(middle)
    assert (queue.confirmed, queue.expired, len(queue)) == (3, 1, 0)
    assert middle.state is EntryState.CONFIRMED


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("confirm"), st.integers(0, 99), st.just(0)),
        st.tuples(st.just("push"), st.integers(1, 5), st.just(0)),
        st.tuples(st.just("take"), st.integers(-8, 45), st.integers(1, 100)),
    ),
    max_size=40,
)


@given(STEPS)
def test_any_history_agrees_with_a_plain_list(steps: list[tuple[str, int, int]]) -> None:
    queue, pending, next_id = UpdateQueue(FIRST), list[int](), FIRST
    confirmed = 0
    for step, number, limit in steps:
        if step == "push":
            for _ in range(number):
                queue.append(next_id, b"{}", 100.0)
                pending.append(next_id)
                next_id += 1
            continue
        if step == "confirm":
            if pending:
                update_id = pending.pop(number % len(pending))
                queue.confirm(next(entry for entry in queue.pending() if entry.update_id == update_id))
                confirmed += 1
            continue
        offset = number if number <= 0 else FIRST + number - 5
        if offset < 0:
            kept = pending[offset:]
        elif offset == 0 or offset > next_id + 10:
            kept = pending
        else:
            kept = [update_id for update_id in pending if update_id >= offset]
        confirmed += len(pending) - len(kept)
        pending = kept
        assert ids(queue, offset, limit) == pending[:limit]
        assert queue.confirmed == confirmed
        assert len(queue) == len(pending)


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 60))
def test_updates_in_any_order_of_ids_are_confirmed_by_id(update_ids: list[int], offset: int) -> None:
    queue = UpdateQueue(1)
    for update_id in update_ids:
        queue.append(update_id, b"{}", 100.0)
    expected = [update_id for update_id in update_ids if update_id >= offset or offset > queue.next_id + 10]
    assert ids(queue, offset) == expected
