"""Who may go on and who waits for how long, over random histories."""

import heapq
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.author import JobContext, job
from jobs.policy.rates import Ledger, Rates, Window, take
from tests.unit.jobs.test_runner import Page

START_MS = 1_700_000_000_123
ONE_PER_MINUTE = Rates(1, 5000, 100_000).windows


class Book:
    """One key's ledger, and what was taken from it."""

    def __init__(self, windows: tuple[Window, ...], start_ms: int = START_MS) -> None:
        self.windows = windows
        self.now_ms = start_ms
        self.ledger = Ledger()
        self.taken_ms: list[int] = []

    def take(self, after_ms: int = 0, ahead: bool = False) -> int:
        self.now_ms += after_ms
        self.ledger, wait_ms = take(self.windows, self.ledger, self.now_ms, ahead)
        if wait_ms == 0:
            self.taken_ms.append(self.now_ms)
        return wait_ms

    def check(self) -> None:
        """Assert that no stretch as long as a window holds more than its limit."""
        for window in self.windows:
            for first, then in zip(self.taken_ms, self.taken_ms[window.limit :], strict=False):
                assert then - first >= window.length_ms


windows = st.builds(
    lambda limits, lengths: tuple(map(Window, limits, (60 * length for length in sorted(lengths)))),
    st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 20)),
    st.tuples(st.integers(1, 50), st.integers(1, 300), st.integers(1, 2000)),
)
steps = st.one_of(st.integers(0, 20), st.integers(0, 5000))


@settings(deadline=None)
@given(windows, st.lists(st.tuples(steps, st.booleans()), max_size=150))
def test_no_stretch_of_time_holds_more_than_its_limit(windows, history):
    book = Book(windows)
    for after_ms, ahead in history:
        book.take(after_ms, ahead)
    book.check()


@settings(deadline=None)
@given(windows, st.integers(1, 150), st.integers(0, 40))
def test_who_comes_when_told_is_taken_at_its_second_try(windows, count: int, apart_ms: int):
    """Also those who come at once, and however far the turns reach."""
    book = Book(windows)
    coming = [(START_MS + number * apart_ms, number) for number in range(count)]
    tries: Counter[int] = Counter()
    while coming:
        book.now_ms, number = heapq.heappop(coming)
        tries[number] += 1
        if wait_ms := book.take(ahead=tries[number] > 1):
            heapq.heappush(coming, (book.now_ms + wait_ms, number))
    book.check()
    assert max(tries.values()) <= 2
    assert book.taken_ms == sorted(book.taken_ms)


@given(st.integers(0, 60_000))
def test_a_burst_at_the_edge_of_a_minute_does_not_double_the_rate(edge_ms: int):
    book = Book(Rates().windows, START_MS + edge_ms)
    assert [book.take() for _ in range(100)] == [0] * 100
    assert 60_000 <= book.take(1) + 1 <= 61_000


def test_every_window_holds():
    for rates in (Rates(1, 9, 9), Rates(9, 1, 9), Rates(9, 9, 1)):
        book = Book(rates.windows)
        assert book.take() == 0
        length_ms = next(window.length_ms for window in rates.windows if window.limit == 1)
        assert length_ms <= book.take(1) + 1 <= length_ms * 61 / 60


def test_the_new_wait_behind_the_line_and_work_that_has_begun_does_not():
    book = Book(ONE_PER_MINUTE)
    book.take()
    first, second = book.take(), book.take()
    assert 60_000 <= first < second
    book.now_ms += first
    new = book.take()
    assert new > second - first, "there is room, which is the first one's"
    assert book.take(ahead=True) == 0


def test_a_line_that_nobody_comes_from_holds_nobody_up():
    book = Book(ONE_PER_MINUTE)
    for _ in range(100):
        book.take()
    assert book.take(121_000) > 0, "there was room for a minute only"
    assert book.take(61_000) == 0


def test_a_line_that_waits_for_its_hour_is_no_line_that_nobody_comes_from():
    book = Book(Rates(100, 1, 100).windows)
    book.take()
    first, second = book.take(), book.take()
    book.now_ms += first
    assert book.take() > second - first
    assert book.take(ahead=True) == 0


def test_two_turns_are_never_at_one_moment():
    book = Book(Rates().windows)
    waits = [book.take() for _ in range(2000)]
    turns = [wait_ms for wait_ms in waits if wait_ms]
    assert len(turns) == len(set(turns)) == 1900


def test_a_ledger_stays_small_however_many_wait():
    book = Book(Rates().windows)
    for number in range(5000):
        book.take(7 * number % 3000, ahead=number % 3 == 0)
    for counts in (book.ledger.done, book.ledger.ahead.counts, book.ledger.new.counts):
        assert all(len(parts) <= 61 for parts in counts)


def test_a_clock_that_is_set_back_grants_nothing_twice_and_locks_nobody_out():
    book = Book(ONE_PER_MINUTE)
    assert book.take() == 0
    assert book.take(-30_000) > 60_000
    assert book.take(-3_600_000) == 0


@pytest.mark.parametrize("name", ["per_minute", "per_hour", "per_day"])
def test_rates_that_let_nothing_through_are_refused(name: str):
    with pytest.raises(ValueError, match=f"rates: {name} is 0; write 1 or more"):
        Rates(**{name: 0})


def test_rates_without_whose_they_are_are_refused():
    with pytest.raises(ValueError, match="job A: rates need limited_by"):

        @job("A", rates=Rates())
        async def handler(payload: Page, context: JobContext) -> None:
            pass
