"""What a getUpdates request may ask for."""

import pytest

from sandbox.policy.polling import PollRequest, PreviousPoll, decide_poll


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ((0, 100, 0), PollRequest(0, 100, 0.0)),
        ((7, 1000, 500), PollRequest(7, 100, 50.0)),
        ((-3, 0, -1), PollRequest(-3, 1, 0.0)),
        ((0, 33, 20), PollRequest(0, 33, 20.0)),
    ],
)
def test_requests_are_held_within_limits(asked: tuple[int, int, int], granted: PollRequest) -> None:
    assert decide_poll(*asked, previous=None, now=1000.0) == granted


@pytest.mark.parametrize(
    ("offset", "timeout_s", "after_s", "granted"),
    [
        (5, 0, 0.4, PollRequest(5, 1, 3.0)),
        (5, 0, 0.6, PollRequest(5, 100, 3.0)),
        (5, 1, 2.9, PollRequest(5, 100, 3.0)),
        (5, 10, 0.4, PollRequest(5, 1, 10.0)),
        (5, 0, 3.1, PollRequest(5, 100, 0.0)),
        (6, 0, 0.1, PollRequest(6, 100, 0.0)),
    ],
)
def test_an_offset_repeated_too_soon_is_slowed_down(
    offset: int, timeout_s: int, after_s: float, granted: PollRequest
) -> None:
    assert decide_poll(offset, 100, timeout_s, PreviousPoll(5, 100.0), 100.0 + after_s) == granted
