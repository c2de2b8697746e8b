"""Who takes a place that becomes free."""

from brama.ids import BotId
from supervisor.fleet.policy.capacity import Capacity
from supervisor.fleet.policy.model import Phase
from supervisor.fleet.room import Room

FIRST, SECOND, THIRD = BotId("first"), BotId("second"), BotId("third")


def test_who_has_updates_goes_first_then_who_waits_longest():
    room = Room(Capacity(1, 1, 1, 0.0), lambda: 1.0, lambda: 0.0)
    for bot_id in (FIRST, SECOND, THIRD):
        room.move(bot_id, Phase.SPAWN, Phase.CAPACITY)
    room.hurry(THIRD)
    room.hurry(BotId("another"))
    assert room.waiting == 3
    assert list(room.next_in_line()) == [THIRD, FIRST, SECOND]
    room.move(THIRD, Phase.CAPACITY, Phase.STOPPED)
    assert list(room.next_in_line()) == [FIRST, SECOND]
