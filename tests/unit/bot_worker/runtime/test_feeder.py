"""Updates go into the application's queue as its update processor has room, in order."""

import asyncio
from types import SimpleNamespace
from typing import Any

from telegram import Bot

from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.feeder import LARGE_BYTES, Feeder
from bot_worker.runtime.notices import Notices
from bot_worker.runtime.outbox import Outbox
from bot_worker.runtime.tracker import Tracker
from brama.messages import Begun, Deliver, Failed, Released, Returned
from tests.unit.bot_worker.runtime.fakes import FakeChannel

BOT = Bot("1001:" + "A" * 35)


def a_feeder() -> tuple[Feeder, FakeChannel, Tracker]:
    channel = FakeChannel()
    outbox = Outbox(channel)
    tracker = Tracker(Acknowledger(outbox, Notices(channel)))
    return Feeder(tracker, outbox), channel, tracker


def an_application(slots: int = 1, room: int = 0) -> Any:
    processor = SimpleNamespace(max_concurrent_updates=slots)
    queue: asyncio.Queue[object] = asyncio.Queue(room)
    return SimpleNamespace(bot=BOT, update_processor=processor, update_queue=queue)


def update(number: int, padding: int = 0) -> Deliver:
    return Deliver(number, number, b'{"update_id": %d, "x": "%s"}' % (number, b"x" * padding))


def ids(application: Any) -> list[int]:
    queue = application.update_queue
    return [queue.get_nowait().update_id for _ in range(queue.qsize())]


def test_no_more_than_the_processor_takes_on():
    feeder, _, _ = a_feeder()
    application = an_application(slots=2)
    for number in (1, 2, 3, 4):
        feeder.deliver(update(number))
    feeder.open(application)
    assert ids(application) == [1, 2]
    feeder.freed()
    assert ids(application) == [3]
    feeder.pause()
    feeder.freed()
    assert ids(application) == []
    feeder.open(application)
    assert ids(application) == [4]
    assert len(feeder) == 0


def test_after_a_failure_all_goes_back_until_the_master_has_decided_anew():
    feeder, channel, _ = a_feeder()
    application = an_application()
    for number in (1, 2, 3):
        feeder.deliver(update(number))
    feeder.open(application)
    assert ids(application) == [1]
    feeder.give_back(failed=1)
    feeder.freed()
    feeder.deliver(update(4))  # was on its way
    assert channel.sent == [Returned([2, 3]), Returned([4])]
    for number in (3, 5):
        feeder.deliver(update(number))
    feeder.fill()
    feeder.freed()
    feeder.fill()
    assert ids(application) == [3, 5]
    assert len(channel.sent) == 2


def test_closing_gives_back_what_no_handler_has_seen():
    feeder, channel, tracker = a_feeder()
    application = an_application(slots=2)
    for number in (1, 2, 3):
        feeder.deliver(update(number))
    feeder.open(application)
    first = tracker.find(application.update_queue.get_nowait())
    assert first is not None
    tracker.begin(first)
    feeder.close()
    feeder.deliver(update(4))
    feeder.open(application)
    assert channel.sent[1:] == [Returned([2, 3]), Returned([4])]
    assert len(ids(application)) == 1


async def test_a_bounded_queue_of_the_bots_own_is_waited_for():
    feeder, _, _ = a_feeder()
    application = an_application(slots=3, room=1)
    for number in (1, 2, 3):
        feeder.deliver(update(number))
    feeder.open(application)
    got = [(await application.update_queue.get()).update_id for _ in range(3)]
    assert got == [1, 2, 3]


async def test_what_cannot_be_decoded_takes_no_slot():
    feeder, channel, _ = a_feeder()
    application = an_application()
    feeder.deliver(Deliver(1, 1, b"nonsense"))
    feeder.deliver(update(2))
    feeder.open(application)
    assert ids(application) == [2]
    assert [type(message) for message in channel.sent] == [Begun, Released, Failed]


def test_a_large_update_begins_before_it_is_decoded():
    feeder, channel, _ = a_feeder()
    feeder.deliver(update(1, padding=LARGE_BYTES))
    feeder.open(an_application())
    feeder.close()
    assert channel.sent == [Begun([1])]
    assert channel.pushes == [1]
