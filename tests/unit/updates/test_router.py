"""The router's shell: what it loads, hands over, and writes back."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from brama.ids import BotId, Generation, Seq, TelegramId, UpdateId
from brama.messages import Begun, Deliver, Failed, Processed, Released, Returned, ToWorker
from supervisor.updates.model import Backlog, CommitFailedError, Reason, Row, Source
from supervisor.updates.policy.retry import RetryPolicy
from supervisor.updates.policy.routing import Window
from supervisor.updates.router import MAX_ROWS_IN_MEMORY, Router, RouterSettings
from tests.waiting import await_until

SHOP = BotId("shop")
SOURCE = Source(TelegramId(1), "http://127.0.0.1:1")
FIRST = Generation(1)


@dataclass
class MemoryInbox:
    """The ledger's side, in memory."""

    rows: dict[Seq, Row] = field(default_factory=dict)
    ends: list[tuple[str, int]] = field(default_factory=list)
    stalled: str | None = None
    broken: bool = False
    pages: int = 0

    def add(self, count: int, **changes: Any) -> list[Row]:
        start = max(self.rows, default=Seq(0)) + 1
        made = [
            Row(
                Seq(n),
                UpdateId(n),
                changes.get("kind", "message"),
                "",
                b"{}",
                0,
                changes.get("charges", 0),
                0.0,
            )
            for n in range(start, start + count)
        ]
        self.rows.update({row.seq: row for row in made})
        return made

    async def page(self, source: Source, after_seq: Seq, max_rows: int, max_bytes: int) -> list[Row]:
        self.pages += 1
        if self.broken:
            self.broken = False
            raise CommitFailedError("the disk is away")
        return [row for seq, row in sorted(self.rows.items()) if seq > after_seq][:max_rows]

    def backlog(self, source: Source) -> Backlog:
        return Backlog(len(self.rows) - len(self.ends), 0)

    def processed(self, seqs: Sequence[Seq]) -> None:
        self.ends += [("processed", seq) for seq in seqs]

    def charge(self, seq: Seq, charges: int) -> None:
        self.ends.append((f"charge {charges}", seq))

    def attempt(self, seq: Seq, attempts: int) -> None:
        self.ends.append((f"attempt {attempts}", seq))

    def bury(self, seq: Seq, reason: Reason, error: str, detail: str, traceback: str) -> None:
        self.ends.append((reason.value, seq))


@dataclass
class Stage:
    """A router with one bot, its inbox, and a worker that writes down what it is handed."""

    inbox: MemoryInbox
    router: Router
    handed: list[int] = field(default_factory=list)

    def send(self, messages: Sequence[ToWorker]) -> None:
        self.handed += [message.seq for message in messages if isinstance(message, Deliver)]

    def ready(self, generation: Generation = FIRST) -> None:
        self.router.worker_ready(SHOP, generation, self.send)

    async def wait_handed(self, count: int) -> None:
        await await_until(lambda: len(self.handed) >= count, what=f"{count} updates handed over")

    def said(self, *messages: Begun | Released | Processed | Failed | Returned) -> None:
        for message in messages:
            self.router.worker_said(SHOP, FIRST, message)


@pytest.fixture
async def stage() -> Stage:
    return make_stage()


def make_stage(utc: Callable[[], float] = lambda: 0.0) -> Stage:
    inbox = MemoryInbox()
    tasks = set()

    def spawn(work: Coroutine[Any, Any, None]) -> object:
        tasks.add(asyncio.get_running_loop().create_task(work))
        return None

    settings = RouterSettings(Window(100, 4_000_000), RetryPolicy(3, False), {"callback_query": 150.0})
    loop = asyncio.get_running_loop()
    router = Router(inbox, settings, monotonic=loop.time, utc=utc, random=lambda: 0.0, spawn=spawn)
    router.add_bot(SHOP, SOURCE)
    return Stage(inbox, router)


async def test_what_waited_before_the_worker_comes_first_and_once(stage: Stage) -> None:
    stage.inbox.add(3)
    stage.router.arrived(SHOP, stage.inbox.add(2))
    stage.ready()
    await await_until(lambda: len(stage.handed) == 5, what="five updates handed over")
    stage.router.arrived(SHOP, stage.inbox.add(1))
    await await_until(lambda: len(stage.handed) == 6, what="the sixth")
    assert stage.handed == [1, 2, 3, 4, 5, 6]


async def test_a_backlog_larger_than_memory_is_paged_in_order(stage: Stage) -> None:
    stage.ready()
    total = 3 * MAX_ROWS_IN_MEMORY
    for _ in range(6):
        stage.router.arrived(SHOP, stage.inbox.add(total // 6))
    done = 0
    while done < total:
        await stage.wait_handed(done + 1)
        new, done = stage.handed[done:], len(stage.handed)
        stage.said(Begun(new), Released(new), Processed(new))
    assert stage.handed == list(range(1, total + 1))
    assert [seq for _, seq in stage.inbox.ends] == stage.handed


async def test_an_unreadable_inbox_is_asked_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.updates.router.PAGE_RETRY_S", 0.0)
    stage.inbox.broken = True
    stage.inbox.add(1)
    stage.ready()
    await await_until(lambda: stage.handed == [1], what="the update after the second look")
    assert stage.inbox.pages >= 2


async def test_nothing_is_dispatched_while_the_inbox_is_stalled(stage: Stage) -> None:
    stage.inbox.stalled = "no space left on device"
    stage.inbox.add(1)
    stage.ready()
    await await_until(lambda: stage.inbox.pages > 0, what="the page")
    assert stage.handed == []
    stage.inbox.stalled = None
    stage.router.resume()
    assert stage.handed == [1]


async def test_failures_are_buried_or_come_again_by_the_policy(stage: Stage) -> None:
    stage.inbox.add(2)
    stage.ready()
    await await_until(lambda: len(stage.handed) == 2, what="both")
    stage.said(
        Failed(1, "ValueError", "no", "", None, False, False),
        Failed(2, "RetryAfter", "", "", 0.0, False, False),
    )
    await await_until(lambda: stage.handed == [1, 2, 2], what="the retry")
    assert stage.inbox.ends == [("handler_error", 1)]


async def test_stale_updates_expire_and_the_next_goes_on() -> None:
    stage = make_stage(utc=lambda: 1000.0)
    stage.inbox.add(2, kind="callback_query")
    stage.inbox.add(1)
    stage.ready()
    await await_until(lambda: stage.handed == [3], what="the message")
    assert stage.inbox.ends == [("expired", 1), ("expired", 2)]


async def test_deaths_charge_the_update_alone_and_poison_it_at_the_third(stage: Stage) -> None:
    stage.inbox.add(1)
    for death in (1, 2, 3):
        stage.ready()
        await stage.wait_handed(death)
        stage.said(Begun([1]))
        assert stage.router.worker_gone(SHOP, commanded=False)
    assert stage.inbox.ends == [("charge 1", 1), ("charge 2", 1), ("poison", 1)]
    assert stage.router.in_flight(SHOP).count == 0


async def test_the_word_of_an_earlier_generation_changes_nothing(stage: Stage) -> None:
    stage.inbox.add(1)
    stage.ready(Generation(2))
    await await_until(lambda: stage.handed == [1], what="the update")
    stage.said(Processed([1]))
    assert stage.inbox.ends == []
    assert stage.router.in_flight(SHOP).count == 1


async def test_a_draining_worker_is_handed_nothing_more_and_may_give_back(stage: Stage) -> None:
    stage.inbox.add(1)
    stage.ready()
    await await_until(lambda: stage.handed == [1], what="the update")
    stage.router.worker_draining(SHOP)
    stage.router.arrived(SHOP, stage.inbox.add(1))
    stage.said(Returned([1]))
    assert not stage.router.worker_gone(SHOP, commanded=True)
    stage.ready()
    await await_until(lambda: stage.handed == [1, 1, 2], what="both, in order")


async def test_who_has_no_worker_is_named_when_updates_come(stage: Stage) -> None:
    named: list[str] = []
    stage.router.call_when_waiting(named.append)
    assert not stage.router.waits(SHOP)
    stage.router.arrived(SHOP, stage.inbox.add(1))
    await await_until(lambda: named == [SHOP], what="the name")
    assert stage.router.waits(SHOP)
    stage.ready()
    await stage.wait_handed(1)
    assert not stage.router.waits(SHOP)
    stage.router.arrived(SHOP, stage.inbox.add(1))
    await stage.wait_handed(2)
    assert named == [SHOP]
    stage.router.worker_gone(SHOP, commanded=True)
    assert stage.router.waits(SHOP)


async def test_idle_is_who_is_done_with_all_there_was(stage: Stage) -> None:
    stage.inbox.add(2)
    stage.ready()
    await stage.wait_handed(2)
    assert stage.router.idle_since(SHOP) is None
    stage.said(Begun([1, 2]), Released([1, 2]), Processed([1]))
    assert stage.router.idle_since(SHOP) is None
    stage.said(Processed([2]))
    since = stage.router.idle_since(SHOP)
    assert since is not None
    stage.router.arrived(SHOP, stage.inbox.add(1))
    assert stage.router.idle_since(SHOP) is None
    await stage.wait_handed(3)
    stage.said(Begun([3]), Released([3]), Processed([3]))
    assert (stage.router.idle_since(SHOP) or 0.0) > since


async def test_a_retry_that_waits_is_business(stage: Stage) -> None:
    stage.inbox.add(1)
    stage.ready()
    await stage.wait_handed(1)
    stage.said(Failed(1, "telegram.error.RetryAfter", "", "", 3600.0, before_send=False, wrote=False))
    assert stage.router.in_flight(SHOP).count == 0
    assert stage.router.idle_since(SHOP) is None
    assert stage.router.waits(SHOP)
