"""When the platform is asked next."""

import pytest

from supervisor.platform.policy.pace import MAX_PAUSE_S, next_wait_s, read_pause_s


@pytest.mark.parametrize(
    ("interval_s", "failures", "asked_s", "wait_s"),
    [
        (60, 0, None, 60),
        (60, 1, None, 5),
        (60, 2, None, 10),
        (60, 3, None, 20),
        (60, 4, None, 40),
        (60, 5, None, 60),
        (60, 10_000, None, 60),
        (2, 1, None, 2),
        (2, 9, None, 2),
        (3600, 4, None, 40),
        (60, 1, 1, 5),
        (60, 1, 0, 5),
        (60, 1, 240, 240 * 1.05),
        (60, 1, 10**8, MAX_PAUSE_S * 1.05),
    ],
)
def test_the_wait_in_the_middle_of_its_range(interval_s, failures, asked_s, wait_s):
    assert next_wait_s(interval_s, failures, asked_s, 0.5) == pytest.approx(wait_s)


def test_waits_differ_by_a_tenth_and_never_undercut_what_was_asked_for():
    assert next_wait_s(60, 0, None, 0.0) == pytest.approx(54)
    assert next_wait_s(60, 0, None, 0.999999) == pytest.approx(66, rel=1e-4)
    assert next_wait_s(60, 1, 120, 0.0) == 120
    assert next_wait_s(60, 1, 120, 0.999999) == pytest.approx(132, rel=1e-4)


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        ("-7", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 20, None),
    ],
)
def test_a_pause_is_whole_seconds(header, pause_s):
    assert read_pause_s(header) == pause_s
