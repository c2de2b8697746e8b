"""Who is asked whether it may sleep, and when."""

import pytest

from brama.ids import BotId
from supervisor.fleet.policy.idleness import choose_for_room, next_question_at

NOW = 1000.0


@pytest.mark.parametrize(
    ("idle_since", "refused_at", "timeout_s", "at"),
    [
        (900.0, None, 60.0, 960.0),
        (990.0, None, 60.0, 1050.0),
        (None, None, 60.0, 1060.0),  # busy: to be looked at again
        (900.0, 999.0, 60.0, 1059.0),
        (990.0, 999.0, 1.0, 1004.0),  # not every second
        (0.0, 999.0, 86400.0, 86400.0),
        (-90000.0, 999.0, 86400.0, 1299.0),  # but not once a day either
    ],
)
def test_when_a_bot_is_asked(idle_since, refused_at, timeout_s, at):
    assert next_question_at(idle_since, refused_at, timeout_s, NOW) == at


def test_the_longest_idle_gives_its_place_up_first():
    idle = [(BotId("b"), 900.0, None), (BotId("a"), 800.0, None), (BotId("c"), 700.0, 995.0)]
    assert choose_for_room(idle, 1, NOW) == ["a"]
    assert choose_for_room(idle, 5, NOW) == ["a", "b"]
    assert choose_for_room(idle, 5, NOW + 10.0) == ["c", "a", "b"]
    assert choose_for_room(idle, 0, NOW) == choose_for_room(idle, -1, NOW) == []
