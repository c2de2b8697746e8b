"""Durations of the last minutes, in little memory."""

import math

from hypothesis import given
from hypothesis import strategies as st

from webhook.policy.latency import BOUNDS_S, PERIOD_S, Durations, RecentDurations

TIMES = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=50)


def test_nothing_is_known_before_the_first():
    assert RecentDurations().summary(0.0) == Durations()


@given(TIMES)
def test_quantiles_are_never_below_the_truth_and_at_most_a_fifth_above(times):
    recent = RecentDurations()
    for duration_s in times:
        recent.note(duration_s, 1.0)
    known = recent.summary(1.0)
    ordered = sorted(times)
    assert known.count == len(times)
    assert math.isclose(known.mean_s, sum(times) / len(times), abs_tol=1e-9)
    assert known.max_s == ordered[-1]
    for share, shown in ((0.5, known.p50_s), (0.99, known.p99_s)):
        true = ordered[math.ceil(share * len(times)) - 1]
        assert true <= shown <= max(true * 2**0.25 * 1.0001, BOUNDS_S[0])


def test_what_is_old_is_forgotten_after_one_to_two_periods():
    recent = RecentDurations()
    recent.note(5.0, 0.0)
    assert recent.summary(PERIOD_S - 1).max_s == 5.0
    recent.note(1.0, PERIOD_S + 1)
    assert recent.summary(PERIOD_S + 1).count == 2
    assert recent.summary(2 * PERIOD_S + 2).count == 1
    assert recent.summary(10 * PERIOD_S).count == 0
