"""The books of updates: each is reported once at each of its moments, in order, whatever happens between."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from bot_worker.runtime.tracker import Entry, State, Tracker, current_entry


class Reports:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def begun(self, seq: int) -> None:
        self.told.append(("begun", seq))

    def released(self, seq: int) -> None:
        self.told.append(("released", seq))

    def done(self, entry: Entry) -> None:
        self.told.append(("failed" if entry.failure else "processed", entry.seq))


def a_tracker() -> tuple[Tracker, Reports]:
    reports = Reports()
    return Tracker(reports), reports


def test_an_update_without_tasks_is_done_when_it_is_released():
    tracker, reports = a_tracker()
    update = object()
    entry = tracker.add(7, update)
    assert tracker.find(update) is entry
    assert tracker.begin(entry)
    tracker.release(entry)
    assert reports.told == [("begun", 7), ("released", 7), ("processed", 7)]
    assert tracker.find(update) is None
    assert (tracker.processed, tracker.failed, len(tracker)) == (1, 0, 0)


def test_tasks_keep_it_open_and_their_errors_count():
    tracker, reports = a_tracker()
    entry = tracker.add(7, object())
    tracker.begin(entry)
    tracker.hold(entry)
    tracker.release(entry)
    tracker.hold(entry)
    tracker.drop(entry)
    tracker.fail(entry, ValueError("first"))
    tracker.fail(entry, ValueError("second"))
    assert reports.told == [("begun", 7), ("released", 7)]
    tracker.drop(entry)
    assert reports.told[-1] == ("failed", 7)
    assert entry.failure is not None
    assert entry.failure.detail == "first"
    tracker.fail(entry, ValueError("too late"))
    assert (tracker.processed, tracker.failed) == (0, 1)


def test_what_is_given_back_is_recognised_and_never_dispatched():
    tracker, reports = a_tracker()
    updates = [object(), object(), object()]
    entries = [tracker.add(seq, update) for seq, update in enumerate(updates)]
    tracker.begin(entries[0])
    assert tracker.give_back() == [1, 2]
    assert tracker.find(updates[1]) is entries[1]
    assert not tracker.begin(entries[1])
    tracker.hold(entries[1])
    tracker.drop(entries[1])
    tracker.release(entries[1])
    assert reports.told == [("begun", 0)]
    idle: list[bool] = []
    tracker.when_idle(lambda: idle.append(True))
    assert not idle
    tracker.release(entries[0])
    assert idle == [True]


def test_an_abandoned_update_is_never_reported():
    tracker, reports = a_tracker()
    entry = tracker.add(7, object())
    tracker.begin(entry)
    tracker.hold(entry)
    tracker.abandon(entry)
    tracker.release(entry)
    tracker.drop(entry)
    assert reports.told == [("begun", 7)]
    assert len(tracker) == 0


def test_work_belongs_to_the_update_it_names_else_to_the_one_of_its_context():
    tracker, _ = a_tracker()
    update = object()
    named, other = tracker.add(1, update), tracker.add(2, object())
    token = current_entry.set(other)
    try:
        assert tracker.of(update) is named
        assert tracker.of(None) is other
        tracker.skip(other)
        assert tracker.of(None) is None
    finally:
        current_entry.reset(token)


def test_an_update_announced_before_it_was_decoded_begins_silently():
    tracker, reports = a_tracker()
    entry = tracker.add(1, object(), begun=True)
    assert tracker.give_back() == []
    assert tracker.begin(entry)
    tracker.release(entry)
    assert reports.told == [("released", 1), ("processed", 1)]


class Lives(RuleBasedStateMachine):
    """Random lives of updates; what bot code can do in any order."""

    entries = Bundle("entries")

    @initialize()
    def begin_books(self) -> None:
        self.tracker, self.reports = a_tracker()
        self.count = 0
        self.returned: list[int] = []

    @rule(target=entries)
    def arrive(self) -> Entry:
        self.count += 1
        return self.tracker.add(self.count, object())

    @rule(entry=entries)
    def begin(self, entry: Entry) -> None:
        if entry.state is not State.BEGUN:
            self.tracker.begin(entry)

    @rule(entry=entries)
    def hold(self, entry: Entry) -> None:
        if entry.is_open:
            self.tracker.hold(entry)

    @rule(entry=entries)
    def drop(self, entry: Entry) -> None:
        if entry.holds:
            self.tracker.drop(entry)

    @rule(entry=entries)
    def release(self, entry: Entry) -> None:
        self.tracker.release(entry)

    @rule(entry=entries)
    def fail(self, entry: Entry) -> None:
        self.tracker.fail(entry, ValueError())

    @rule(entry=entries)
    def abandon(self, entry: Entry) -> None:
        self.tracker.abandon(entry)

    @rule()
    def give_back(self) -> None:
        self.returned += self.tracker.give_back()

    @invariant()
    def each_moment_comes_once_and_in_order(self) -> None:
        lives: dict[int, list[str]] = {}
        for moment, seq in self.reports.told:
            lives.setdefault(seq, []).append(moment)
        for seq, moments in lives.items():
            assert [*moments, ""][:2] in (["begun", ""], ["begun", "released"])
            assert moments[2:] in ([], ["processed"], ["failed"])
            assert seq not in self.returned
        assert len(set(self.returned)) == len(self.returned)
        ended = self.tracker.processed + self.tracker.failed
        assert ended == sum(len(moments) == 3 for moments in lives.values())


TestLives = Lives.TestCase


@given(st.lists(st.integers(0, 5), max_size=12))
def test_idle_is_told_once_the_last_one_closes(order: list[int]):
    tracker, _ = a_tracker()
    entries = [tracker.add(seq, object()) for seq in range(6)]
    told: list[int] = []
    tracker.when_idle(lambda: told.append(len(tracker)))
    for index in [*order, *range(6)]:
        assert not told or len(tracker) == 0
        tracker.skip(entries[index])
    assert told == [0]
