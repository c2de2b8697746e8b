"""First calls of new tokens: unpaced until Telegram says so, then 20 a minute."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.updates.policy.start_gate import MEMORY_S, SPACING_S, StartGate, reserve, shut


def reserve_many(gate: StartGate, now: float, count: int) -> tuple[StartGate, list[float]]:
    times = []
    for _ in range(count):
        gate, at = reserve(gate, now)
        times.append(at)
    return gate, times


def test_nothing_is_paced_before_the_first_429():
    assert reserve_many(StartGate(), 5.0, 1000)[1] == [5.0] * 1000


def test_after_a_429_the_gate_opens_when_it_says_and_then_every_three_seconds():
    gate = shut(StartGate(), 10.0, 30.0)
    _, times = reserve_many(gate, 11.0, 4)
    assert times == [40.0, 43.0, 46.0, 49.0]
    assert 60 / SPACING_S == 20


def test_many_429s_at_once_count_as_one():
    gate = shut(StartGate(), 10.0, 30.0)
    gate, times = reserve_many(gate, 10.0, 3)
    assert shut(gate, 10.5, 29.0) == gate
    assert reserve(gate, 10.5)[1] == times[-1] + SPACING_S


def test_a_later_429_shuts_it_again():
    gate = shut(StartGate(), 10.0, 30.0)
    gate, _ = reserve_many(gate, 10.0, 5)
    gate = shut(gate, 50.0, 600.0)
    assert reserve(gate, 50.0)[1] == 650.0


def test_an_hour_later_nothing_is_paced():
    gate = shut(StartGate(), 0.0, 30.0)
    assert reserve(gate, 30.0 + MEMORY_S)[1] == 30.0 + MEMORY_S
    assert reserve(gate, 29.0 + MEMORY_S)[0] != gate


@given(st.lists(st.floats(0, 100), max_size=100), st.floats(0, 1000))
def test_no_more_than_twenty_in_any_minute(pauses: list[float], retry_after_s: float):
    gate, now, times = shut(StartGate(), 0.0, retry_after_s), 0.0, []
    for pause in pauses:
        now += pause
        gate, at = reserve(gate, now)
        if at < gate.spaced_until:
            times.append(at)
    assert all(at >= retry_after_s for at in times)
    assert all(later - earlier >= 59.9 for earlier, later in zip(times, times[20:], strict=False))
