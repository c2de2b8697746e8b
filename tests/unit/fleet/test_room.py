"""Who takes a place that becomes free."""

from brama.ids import BotId
from supervisor.fleet.policy.capacity import Capacity
from supervisor.fleet.policy.model import Phase
from supervisor.fleet.room import Room

FIRST, SECOND, THIRD = BotId("first"), BotId("second"), BotId("third")


def test_who_has_updates_goes_first_then_who_waits_longest():
    room = Room(Capacity(1, 1, 1, 0.0), lambda: 1.0, lambda: 0.0)
    for bot_id in (FIRST, SECOND, THIRD):
        room.move(bot_id, Phase.SPAWN, Phase.CAPACITY, may_sleep=True)
    room.hurry(THIRD)
    room.hurry(BotId("another"))
    assert room.waiting == 3
    assert list(room.next_in_line()) == [THIRD, FIRST, SECOND]
    room.move(THIRD, Phase.CAPACITY, Phase.STOPPED, may_sleep=True)
    assert list(room.next_in_line()) == [FIRST, SECOND]


def test_who_is_refused_is_told_whether_others_may_give_their_places_up():
    room = Room(Capacity(1, 1, 1, 0.0), lambda: 1.0, lambda: 0.0)
    room.move(FIRST, Phase.STOPPED, Phase.SPAWN, may_sleep=False)
    assert room.refusal(FIRST) is None
    room.move(SECOND, Phase.STOPPED, Phase.SPAWN, may_sleep=True)
    assert room.refusal(SECOND) == "1 bots run, which is limits.max_workers"
    room.move(FIRST, Phase.SPAWN, Phase.SPAWN, may_sleep=True)
    assert (room.refusal(SECOND) or "").startswith("an idle bot is asked for its place: ")
    room.move(FIRST, Phase.SERVE, Phase.ASLEEP, may_sleep=True)
    assert room.refusal(SECOND) is None
