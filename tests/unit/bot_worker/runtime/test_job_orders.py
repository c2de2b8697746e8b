"""Jobs on their way from a worker to its master."""

import asyncio
import json

import pytest

from bot_worker.runtime import job_orders
from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.job_orders import MAX_OPEN, JobOrders, current_job_place
from bot_worker.runtime.notices import Notices
from bot_worker.runtime.outbox import Outbox
from bot_worker.runtime.tracker import Entry, Place, Tracker, current_entry
from brama.errors import NotAcceptedError
from brama.jobs import JobRequest
from brama.messages import Enqueue, Processed
from tests.unit.bot_worker.runtime.fakes import FakeChannel
from tests.waiting import await_until, loop_turn


class Stage:
    """A worker's orders, with all it has said."""

    def __init__(self) -> None:
        self.channel = FakeChannel()
        outbox = Outbox(self.channel)
        self.tracker = Tracker(Acknowledger(outbox, Notices(self.channel)))
        self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        self.orders = JobOrders(self.channel, self.tracker, lambda: self.loop, 1001)

    def enqueue(self, name: str = "A", payload: str = "", **more: object) -> "asyncio.Task[str]":
        values = {"queue": name, "key": None, "priority": 0, "delay_ms": 0, "extra": b"null"} | more
        request = JobRequest(name=name, payload=json.dumps(payload).encode(), **values)  # type: ignore[arg-type]
        return asyncio.get_running_loop().create_task(self.orders.enqueue(request))

    @property
    def sent(self) -> list[Enqueue]:
        return [each for each in self.channel.sent if isinstance(each, Enqueue)]

    def begin(self, seq: int) -> Entry:
        """Have an update dispatched in this context."""
        entry = self.tracker.add(seq, object(), 100 + seq)
        entry.place = Place(10, 11, 100 + seq)
        self.tracker.begin(entry)
        current_entry.set(entry)
        return entry

    @property
    def processed(self) -> list[int]:
        return [seq for each in self.channel.sent if isinstance(each, Processed) for seq in each.seqs]


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_an_update_is_not_done_while_a_job_of_it_is_on_its_way(stage):
    entry = stage.begin(1)
    job = stage.enqueue()
    await loop_turn()
    stage.tracker.release(entry)
    await loop_turn()
    assert stage.processed == []
    stage.orders.accepted(1, "k1")
    assert await job == "k1"
    await await_until(lambda: stage.processed == [1])
    assert len(stage.orders) == 0


async def test_answers_come_in_any_order_and_strange_ones_change_nothing(stage):
    jobs = [stage.enqueue(f"T{number}") for number in range(3)]
    await loop_turn()
    stage.orders.refused(3, "no room")
    stage.orders.accepted(1, "k1")
    stage.orders.accepted(1, "other")
    stage.orders.refused(99, "who?")
    stage.orders.accepted(2, "k2")
    assert [await jobs[0], await jobs[1]] == ["k1", "k2"]
    with pytest.raises(NotAcceptedError, match=r"^no room$"):
        await jobs[2]


async def test_what_is_given_up_makes_room_for_what_waits_in_order(stage):
    jobs = [stage.enqueue(payload=str(number)) for number in range(MAX_OPEN + 2)]
    await loop_turn()
    await loop_turn()
    assert [job.n for job in stage.sent] == list(range(1, MAX_OPEN + 1))
    jobs[0].cancel()
    await await_until(lambda: len(stage.sent) == MAX_OPEN + 1)
    assert stage.sent[-1].n == MAX_OPEN + 1
    stage.orders.accepted(2, "k2")
    await await_until(lambda: len(stage.sent) == MAX_OPEN + 2)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert len(stage.orders) == 0


async def test_what_is_larger_than_all_the_room_goes_alone(stage, monkeypatch):
    monkeypatch.setattr(job_orders, "MAX_OPEN_BYTES", 10)
    small, large, last = stage.enqueue(), stage.enqueue(payload="x" * 50), stage.enqueue()
    await loop_turn()
    await loop_turn()
    assert [job.n for job in stage.sent] == [1]
    stage.orders.accepted(1, "k1")
    await await_until(lambda: len(stage.sent) == 2)
    stage.orders.accepted(2, "k2")
    await await_until(lambda: len(stage.sent) == 3)
    stage.orders.accepted(3, "k3")
    assert [await small, await large, await last] == ["k1", "k2", "k3"]


async def test_a_master_that_does_not_answer_is_not_waited_for_for_ever(stage, monkeypatch):
    monkeypatch.setattr(job_orders, "ANSWER_S", 0.01)
    with pytest.raises(NotAcceptedError, match=r"job A: no answer from the supervisor within 0\.01 s"):
        await stage.enqueue()
    stage.orders.accepted(1, "k1")
    stage.orders.send_again([1])
    assert len(stage.sent) == 1


async def test_only_what_is_not_answered_is_sent_again(stage):
    jobs = [stage.enqueue("A"), stage.enqueue("B")]
    await loop_turn()
    stage.orders.accepted(1, "k1")
    await jobs[0]
    stage.orders.send_again([1, 2, 3])
    assert [job.name for job in stage.sent] == ["A", "B", "B"]
    stage.orders.accepted(2, "k2")
    assert await jobs[1] == "k2"


async def test_a_scheduled_job_counts_as_none_of_the_update_whose_context_it_runs_in(stage):
    entry = stage.begin(1)
    token = current_job_place.set(Place(31, 32))
    job = stage.enqueue()
    current_job_place.reset(token)
    await loop_turn()
    [sent] = stage.sent
    assert (sent.chat_id, sent.user_id, sent.update_id) == (31, 32, None)
    assert sent.key.startswith("1001/random/")
    stage.tracker.release(entry)
    await await_until(lambda: stage.processed == [1])
    stage.orders.accepted(1, "k1")
    assert await job == "k1"


async def test_keys_of_the_author_are_the_bots_own(stage):
    stage.begin(1)
    jobs = [stage.enqueue(key="daily"), stage.enqueue(), stage.enqueue(), stage.enqueue("B")]
    await loop_turn()
    assert [job.key for job in stage.sent] == [
        "1001/key/daily",
        "1001/update/101/A/0",
        "1001/update/101/A/1",
        "1001/update/101/B/0",
    ]
    for number, job in enumerate(jobs, 1):
        stage.orders.accepted(number, "k")
        await job


async def test_another_loop_than_the_bots_is_told_so(stage):
    stage.loop = None
    with pytest.raises(RuntimeError, match="in the event loop of the bot's Application"):
        await stage.enqueue()
