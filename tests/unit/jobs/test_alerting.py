"""When an alert is posted again, and when it is given up."""

import pytest

from jobs.policy.alerting import BACKOFF, MAX_REFUSALS, GiveUp, PostAgain, Told, is_refusal, judge


@pytest.mark.parametrize(
    ("status", "failures", "refusals", "retry_after_s", "follows"),
    [
        (200, 0, 0, 0.0, Told()),
        (204, 9, MAX_REFUSALS, 0.0, Told()),
        (None, 1, 0, 0.0, PostAgain(1.0)),
        (500, 3, 0, 0.0, PostAgain(4.0)),
        (503, 1, 0, 60.0, PostAgain(60.0)),
        (429, 1, 0, 1e9, PostAgain(300.0)),
        (None, 10_000, 0, 0.0, PostAgain(300.0)),
        (400, MAX_REFUSALS - 1, MAX_REFUSALS - 1, 0.0, PostAgain(256.0)),
        (400, MAX_REFUSALS, MAX_REFUSALS, 0.0, GiveUp()),
    ],
)
def test_what_follows_a_post(status, failures, refusals, retry_after_s, follows):
    assert judge(status, failures, refusals, BACKOFF, retry_after_s, 1.0) == follows


def test_waits_are_drawn_from_the_upper_half():
    assert judge(None, 3, 0, BACKOFF, 0.0, 0.0) == PostAgain(2.0)


def test_only_answers_that_blame_the_post_are_refusals():
    assert [
        status for status in (None, 200, 301, 400, 401, 404, 408, 425, 429, 500) if is_refusal(status)
    ] == [
        *(301, 400, 401, 404),
    ]
