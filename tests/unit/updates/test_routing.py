"""Histories of one bot's route, and the promises that hold over random ones."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from brama.ids import Seq, UpdateId
from supervisor.updates.model import Row
from supervisor.updates.policy.routing import SUSPECT_GRACE_S, Entry, Route, Window

WINDOW = Window(max_in_flight=3, max_in_flight_bytes=100)


def row(seq: int, lane: str = "", size: int = 10) -> Row:
    return Row(Seq(seq), UpdateId(seq), "message", lane, b"x" * size, 0, 0, 0.0)


def route(*rows: Row, max_charges: int = 3) -> Route:
    made = Route(WINDOW, max_charges)
    made.offer(rows)
    return made


def seqs(entries: Iterable[Entry]) -> list[int]:
    return [entry.row.seq for entry in entries]


def test_hands_over_in_arrival_order_up_to_the_window() -> None:
    bot = route(*(row(n) for n in range(1, 6)))
    assert seqs(bot.take(0)) == [1, 2, 3]
    assert seqs(bot.take(0)) == []
    bot.released([1], now=1)
    assert seqs(bot.take(1)) == [4]
    assert bot.in_flight.count == 4


def test_bytes_bound_the_window_and_a_larger_update_goes_alone() -> None:
    bot = route(row(1, size=60), row(2, size=60), row(3, size=500), row(4))
    assert seqs(bot.take(0)) == [1]
    bot.finish(1)
    assert seqs(bot.take(0)) == [2]
    bot.finish(2)
    assert seqs(bot.take(0)) == [3]
    bot.finish(3)
    assert seqs(bot.take(0)) == [4]


def test_a_retry_holds_back_its_own_lane_only() -> None:
    bot = route(row(1, "c1"), row(2, "c2"))
    assert seqs(bot.take(0)) == [1, 2]
    bot.retry(1, not_before=10, attempts=1)
    bot.offer([row(3, "c1"), row(4, "c2")])
    assert seqs(bot.take(0)) == [4]
    assert bot.next_wake_at() == 10
    assert seqs(bot.take(10)) == [1]
    assert seqs(bot.take(10)) == []
    bot.released([1], now=11)
    assert seqs(bot.take(11)) == [3]


def test_a_second_failure_in_a_waiting_lane_keeps_its_place() -> None:
    bot = route(row(1, "c1"), row(2, "c1"), row(3, "c1"))
    bot.take(0)
    bot.retry(1, not_before=5, attempts=1)
    bot.take(0)
    bot.retry(2, not_before=6, attempts=1)
    bot.returned([3])
    assert seqs(bot.take(5)) == [1]
    bot.finish(1)
    assert seqs(bot.take(5)) == []
    assert seqs(bot.take(6)) == [2]
    bot.finish(2)
    assert seqs(bot.take(6)) == [3]


def test_after_a_death_what_had_begun_runs_alone_and_first() -> None:
    bot = route(*(row(n) for n in range(1, 4)))
    bot.take(0)
    bot.begun([1, 2])
    assert bot.worker_gone(commanded=False).charged is None
    assert seqs(bot.take(1)) == [1]
    assert seqs(bot.take(1)) == []
    bot.finish(1)
    assert seqs(bot.take(1)) == [2]
    bot.finish(2)
    assert seqs(bot.take(1)) == [3]


def test_the_update_alone_at_three_deaths_is_poison() -> None:
    bot = route(row(1), row(2))
    bot.take(0)
    bot.begun([1])
    assert bot.worker_gone(commanded=False).charged is None
    for charges in (1, 2, 3):
        assert seqs(bot.take(0)) == [1]
        bot.begun([1])
        death = bot.worker_gone(commanded=False)
        assert death.charged is not None
        assert (death.charged.charges, death.poisoned) == (charges, charges == 3)
    assert seqs(bot.take(0)) == [2]


def test_a_death_with_nothing_begun_doubts_nobody() -> None:
    bot = route(row(1), row(2))
    bot.take(0)
    assert bot.worker_gone(commanded=False).charged is None
    assert seqs(bot.take(0)) == [1, 2]


def test_a_commanded_kill_charges_nobody_and_keeps_a_suspect_a_suspect() -> None:
    bot = route(row(1), row(2), row(3))
    bot.take(0)
    bot.begun([1, 2])
    bot.worker_gone(commanded=False)
    assert seqs(bot.take(0)) == [1]
    bot.begun([1])
    assert bot.worker_gone(commanded=True).charged is None
    assert seqs(bot.take(0)) == [1]
    bot.finish(1)
    assert seqs(bot.take(0)) == [2]


def test_a_suspect_busy_in_the_background_does_not_hold_the_bot() -> None:
    bot = route(row(1), row(2), row(3))
    bot.take(0)
    bot.begun([1, 2])
    bot.worker_gone(commanded=False)
    bot.take(0)
    bot.released([1], now=5)
    assert seqs(bot.take(5)) == []
    assert bot.next_wake_at() == 5 + SUSPECT_GRACE_S
    assert seqs(bot.take(5 + SUSPECT_GRACE_S)) == [2]


def test_word_of_unknown_rows_is_ignored() -> None:
    bot = route(row(1))
    bot.begun([9])
    bot.released([9], now=0)
    bot.returned([9])
    bot.retry(9, not_before=0, attempts=1)
    assert bot.finish(9) is None
    assert seqs(bot.take(0)) == [1]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "begin", "release", "finish", "retry", "return", "die", "stop", "offer"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_lost_doubled_or_first_taken_out_of_lane_order(steps: list[tuple[str, int]]) -> None:
    bot = Route(Window(4, 60), max_charges=2)
    offered: list[Row] = []
    flying: dict[int, str] = {}
    ended: set[int] = set()
    first_taken: dict[str, list[int]] = {}
    now = 0.0

    def act(step: str, pick: int) -> None:
        some = sorted(flying)[pick : pick + 1]
        match step:
            case "offer":
                new = row(len(offered) + 1, f"c{pick % 3}" if pick else "", size=10 + 20 * pick)
                offered.append(new)
                bot.offer([new])
            case "take":
                for entry in bot.take(now):
                    seq, lane = entry.row.seq, entry.lane
                    assert seq not in flying, "one update twice in flight"
                    assert seq not in ended, "an ended update came back"
                    flying[seq] = lane
                    if seq not in first_taken.setdefault(lane, []):
                        first_taken[lane].append(seq)
            case "begin":
                bot.begun(some)
            case "release":
                bot.released(some, now)
            case "finish" if some:
                assert bot.finish(some[0]) is not None
                ended.add(some[0])
                del flying[some[0]]
            case "retry" if some:
                bot.retry(some[0], not_before=now + pick, attempts=1)
                del flying[some[0]]
            case "return":
                bot.returned(some)
                for returned in some:
                    del flying[returned]
            case "die" | "stop":
                death = bot.worker_gone(commanded=step == "stop")
                flying.clear()
                if death.charged is not None and death.poisoned:
                    ended.add(death.charged.row.seq)

    for step, pick in steps:
        now += 1.0
        act(step, pick)
    for _ in range(4 * len(offered) + 8):
        now += SUSPECT_GRACE_S + 60.0
        act("take", 0)
        for _ in range(len(flying)):
            act("finish", 0)
    assert ended == {offer.seq for offer in offered}
    assert bot.idle_rows == bot.in_flight.count == 0
    for order in first_taken.values():
        assert order == sorted(order)
