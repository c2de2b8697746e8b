"""Reports join into few messages, and acknowledgements wait for the saving that covers them."""

import asyncio

from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.notices import Notices
from bot_worker.runtime.outbox import Outbox
from bot_worker.runtime.policy.failure import Failure
from bot_worker.runtime.tracker import Entry
from brama.messages import Begun, Failed, Notice, Processed, Released, Returned
from tests.unit.bot_worker.runtime.fakes import FakeChannel


async def turn() -> None:
    """Let what is due in the loop run."""
    for _ in range(2):
        over = asyncio.Event()
        asyncio.get_running_loop().call_soon(over.set)
        await over.wait()


async def test_a_turn_makes_one_message_of_each_kind():
    channel = FakeChannel()
    outbox = Outbox(channel)
    for seq in (1, 2):
        outbox.released(seq)
        outbox.processed(seq)
    assert channel.sent == []
    await turn()
    assert channel.sent == [Released([1, 2]), Processed([1, 2])]


async def test_a_begun_is_pushed_behind_what_happened_before():
    channel = FakeChannel()
    outbox = Outbox(channel)
    outbox.begun(1)
    outbox.released(1)
    outbox.processed(1)
    outbox.begun(2)
    assert channel.sent == [Begun([1]), Released([1]), Processed([1]), Begun([2])]
    assert channel.pushes == [1, 4]
    outbox.failed(2, Failure.of(ValueError()), wrote=False)
    outbox.returned([])
    outbox.returned([3])
    assert channel.sent[-1] == Returned([3])
    await turn()
    assert len(channel.sent) == 6


def test_without_a_loop_reports_are_sent_at_once():
    channel = FakeChannel()
    Outbox(channel).processed(1)
    assert channel.sent == [Processed([1])]


def test_a_notice_is_said_once_for_each_code():
    channel = FakeChannel()
    notices = Notices(channel)
    for code in ("a", "b", "a"):
        notices.say(code, "text")
    assert channel.sent == [Notice("a", "text"), Notice("b", "text")]


class Saves:
    """An application whose savings end when the test says so."""

    def __init__(self, acknowledger: Acknowledger) -> None:
        self.acknowledger = acknowledger
        self.started = 0
        self.results: asyncio.Queue[list[BaseException]] = asyncio.Queue()

    async def update_persistence(self) -> None:
        group = self.acknowledger.take_group()
        self.started += 1
        self.acknowledger.saved(group, await self.results.get())


def an_acknowledger() -> tuple[Acknowledger, Saves, FakeChannel]:
    channel = FakeChannel()
    acknowledger = Acknowledger(Outbox(channel), Notices(channel))
    application = Saves(acknowledger)
    acknowledger.keep_for(application)  # type: ignore[arg-type]
    return acknowledger, application, channel


async def test_an_update_that_ends_during_a_saving_waits_for_the_next():
    acknowledger, application, channel = an_acknowledger()
    acknowledger.done(Entry(1, None))
    while not application.started:
        await turn()
    acknowledger.done(Entry(2, None))
    application.results.put_nowait([])
    await turn()
    assert channel.sent == [Processed([1])]
    application.results.put_nowait([])
    await acknowledger.settle()
    await turn()
    assert channel.sent == [Processed([1]), Processed([2])]


async def test_what_is_to_be_tried_again_waits_for_no_saving():
    acknowledger, application, channel = an_acknowledger()
    failed = Entry(1, None)
    failed.failure = Failure("telegram.error.RetryAfter", "", "", retry_after_s=3.0, before_send=False)
    acknowledger.done(failed)
    await turn()
    assert [type(message) for message in channel.sent] == [Failed]
    assert application.started == 0


async def test_a_failed_saving_keeps_its_group_in_order():
    acknowledger, application, channel = an_acknowledger()
    acknowledger.done(Entry(1, None))
    while not application.started:
        await turn()
    acknowledger.done(Entry(2, None))
    application.results.put_nowait([OSError("full")])
    await turn()
    assert [type(message) for message in channel.sent] == [Notice]
    assert [ending.seq for ending in acknowledger.take_group()] == [1, 2]


async def test_a_subclass_that_saves_in_its_own_way_acknowledges_what_was_there():
    class Own:
        async def update_persistence(self) -> None:
            acknowledger.done(Entry(2, None))

    acknowledger, _, channel = an_acknowledger()
    acknowledger.keep_for(Own())  # type: ignore[arg-type]
    acknowledger.done(Entry(1, None))
    while not channel.sent:
        await turn()
    assert channel.sent[0] == Processed([1])
