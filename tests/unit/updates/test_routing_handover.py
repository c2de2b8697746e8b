"""A route that another one goes on with, at any point of any history, behaves as if nothing had happened."""

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from brama.ids import Seq
from supervisor.updates.model import Row
from supervisor.updates.policy.routing import SUSPECT_GRACE_S, Route, RouteRecord, Window
from tests.unit.updates.test_routing import route, row, seqs

MAX_CHARGES = 3
#: Room for all: what is handed out depends on nothing but order, lanes, retries and suspicion.
WIDE = Window(max_in_flight=1000, max_in_flight_bytes=10**9)
NARROW = Window(max_in_flight=3, max_in_flight_bytes=100)


class Life:
    """A route, its inbox, and what has come of it; ``change_masters`` puts another in the route's place."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.route = Route(window, MAX_CHARGES)
        self.now = 0.0
        self.inbox: dict[Seq, Row] = {}
        self.offered = 0
        self.turns: list[set[int]] = []
        self.lanes: dict[str, list[int]] = {}
        self.deaths: list[tuple[int | None, bool]] = []
        self.due_at: dict[int, float] = {}

    def change_masters(self) -> None:
        """Everything up to the last row that was offered is read anew, as the next router reads it."""
        record = self.route.hand_over()
        self.route = Route(self.window, MAX_CHARGES)
        known = [row for seq, row in sorted(self.inbox.items()) if seq <= record.last_seq]
        later = [row for seq, row in sorted(self.inbox.items()) if seq > record.last_seq]
        self.route.take_over(record, known)
        self.route.offer(later)

    def act(self, step: str, pick: int) -> None:
        """Have something happen to one update in flight, or one second pass."""
        self.now += 1.0
        flying = sorted(held.seq for held in self.route.hand_over().held)
        some = [flying[pick % len(flying)]] if flying else []
        match step:
            case "offer":
                self.offered += 1
                new = row(self.offered, f"c{pick % 3}" if pick else "", size=10 + 20 * pick)
                self.inbox[new.seq] = new
                self.route.offer([new])
            case "take":
                taken = self.route.take(self.now)
                self.turns.append(set(seqs(taken)))
                for entry in taken:
                    assert self.now >= self.due_at.pop(entry.row.seq, 0.0), "a retry came too early"
                    self.lanes.setdefault(entry.lane, []).append(entry.row.seq)
            case "begin":
                self.route.begun(some)
            case "release":
                self.route.released(some, self.now)
            case "finish" if some:
                self.route.finish(some[0])
                del self.inbox[Seq(some[0])]
            case "retry" if some:
                retried = self.route.find(some[0])
                assert retried is not None
                attempts, self.due_at[some[0]] = retried.attempts + 1, self.now + 5 * pick
                self.route.retry(some[0], not_before=self.due_at[some[0]], attempts=attempts)
                self.inbox[Seq(some[0])] = replace(self.inbox[Seq(some[0])], attempts=attempts)
            case "return":  # a worker gives back all that it has not begun, in one message
                held = self.route.hand_over().held
                self.route.returned([each.seq for each in held if not each.begun])
            case "die" | "stop":
                charged, poisoned = self.route.worker_gone(commanded=step == "stop")
                self.deaths.append((None if charged is None else charged.row.seq, poisoned))
                if charged is not None and poisoned:
                    del self.inbox[charged.row.seq]
                elif charged is not None:
                    seq = charged.row.seq
                    self.inbox[seq] = replace(self.inbox[seq], charges=charged.charges)

    def settle(self) -> None:
        """Let everything that is left be taken and finished."""
        for _ in range(4 * self.offered + 8):
            self.now += SUSPECT_GRACE_S + 60.0
            self.act("take", 0)
            while self.route.in_flight.count:
                self.act("finish", 0)


def steps(*names: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 5)), max_size=50)


PLAIN = steps("take", "take", "begin", "release", "finish", "return", "die", "stop", "offer", "offer")
ANY = steps("take", "take", "begin", "release", "finish", "return", "die", "stop", "offer", "offer", "retry")


@given(PLAIN, st.integers(0, 50), PLAIN)
def test_each_turn_hands_out_the_same_and_each_death_is_charged_to_the_same(before, at, after) -> None:
    alone, succeeded = Life(WIDE), Life(WIDE)
    for life in (alone, succeeded):
        for number, (step, pick) in enumerate([*before, *after]):
            if life is succeeded and number in (at, len(before)):
                life.change_masters()
            life.act(step, pick)
        life.settle()
    assert succeeded.turns == alone.turns
    assert succeeded.deaths == alone.deaths
    assert succeeded.lanes == alone.lanes
    assert succeeded.inbox == alone.inbox == {}


@given(ANY, ANY)
@example(  # the second of its lane waits longer than the first, behind which it is held
    [("offer", 1), ("offer", 1), ("take", 0), ("retry", 2), ("take", 0), ("retry", 5), ("take", 0)],
    [("take", 0)] * 8 + [("finish", 0), ("take", 0)],
)
def test_nothing_is_lost_doubled_too_early_or_out_of_order(before, after) -> None:
    life = Life(NARROW)
    for step, pick in before:
        life.act(step, pick)
    held = life.route.in_flight
    life.change_masters()
    assert life.route.in_flight == held
    for step, pick in after:
        life.act(step, pick)
    life.settle()
    assert life.inbox == {}
    assert life.route.idle_rows == life.route.in_flight.count == 0
    for order in life.lanes.values():
        first = list(dict.fromkeys(order))
        assert first == sorted(first)


@given(ANY)
def test_a_record_is_all_there_is(history) -> None:
    """Handed over twice in a row it is the same: nothing is left out the first time."""
    life = Life(NARROW)
    for step, pick in history:
        life.act(step, pick)
    record = life.route.hand_over()
    life.change_masters()
    assert life.route.hand_over() == record


def test_a_row_that_ended_meanwhile_is_held_by_nobody() -> None:
    first = route(row(1), row(2), row(3, "c"))
    first.take(0)
    first.begun([1])
    record = first.hand_over()
    second = Route(WIDE, MAX_CHARGES)
    second.take_over(record, [row(2), row(3, "c")])
    assert second.in_flight.count == 2
    assert second.finish(1) is None
    assert seqs(second.take(1)) == []


def test_nothing_to_hand_over_reads_nothing() -> None:
    assert Route(WIDE, MAX_CHARGES).hand_over() == RouteRecord()
    assert RouteRecord().last_seq == 0
