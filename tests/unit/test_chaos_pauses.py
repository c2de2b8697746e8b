"""The longest pause of a bot is time in which somebody waited, and nobody was answered."""

import pytest

from benchmarks.pauses import NONE, Pause, longest_pause


@pytest.mark.parametrize(
    ("messages", "answers", "longest"),
    [
        ([], [], NONE),
        ([(1.0, 1.5), (9.0, 9.2)], [1.5, 9.2], Pause(1.0, 0.5)),  # the time between is nobody's wait
        ([(1.0, 2.0), (1.0, 5.0)], [2.0, 5.0], Pause(2.0, 3.0)),  # between two answers while one waited
        ([(1.0, 2.0), (1.0, 5.0)], [2.0, 3.0, 5.0], Pause(3.0, 2.0)),  # a repetition is a sign of life
        ([(1.0, 4.0), (3.0, 4.5)], [4.0, 4.5], Pause(1.0, 3.0)),  # from the one that waits longest
    ],
)
def test_the_longest_pause(messages: list[tuple[float, float]], answers: list[float], longest: Pause):
    assert longest_pause(messages, answers) == longest
