"""Ends of jobs in a real inbox, with the real router beside it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from brama.clock import monotonic_s
from brama.config.models import DeliverySection
from brama.ids import BotId, Generation, Seq, TelegramId
from brama.messages import Begun, Deliver, Failed, Processed, ToWorker
from supervisor.roster import Roster
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.intake import Intake
from supervisor.updates.job_results import JobResults
from supervisor.updates.model import Reason, Source
from supervisor.updates.policy.job_entries import JobEnd, JobOrigin
from supervisor.updates.policy.message_window import MessageWindow
from supervisor.updates.policy.retry import RetryPolicy
from supervisor.updates.policy.routing import Window
from supervisor.updates.router import Router, RouterSettings
from tests.integration.inbox_tools import SHOP, SHOP_SOURCE, START, assert_balanced, opened, update
from tests.waiting import await_until

ORIGIN = JobOrigin(str(SHOP), SHOP_SOURCE.telegram_id, SHOP_SOURCE.base_url, 3, 3, 17)
NEXT = Generation(1)


@dataclass
class Utc:
    """A wall clock that the test turns."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Room:
    """A ledger with its router, and what the one worker of ``shop`` was handed."""

    ledger: Ledger
    router: Router
    results: JobResults
    utc: Utc
    handed: list[Deliver] = field(default_factory=list)
    woken: list[BotId] = field(default_factory=list)

    def worker(self, generation: int = 1) -> None:
        self.router.worker_ready(SHOP, Generation(generation), self._take)

    def _take(self, messages: Sequence[ToWorker]) -> None:
        self.handed += [each for each in messages if isinstance(each, Deliver)]

    async def wait_handed(self, count: int) -> list[Deliver]:
        await await_until(lambda: len(self.handed) >= count, what=f"{count} deliveries")
        return self.handed


def end(job_id: str = "k1", attempt: int = 1, *, ok: bool = True) -> JobEnd:
    return JobEnd(job_id, "RENDER", "RENDER", attempt, ok, "done" if ok else None, None if ok else "no")


def room(ledger: Ledger, utc: Utc, labels: dict[Source, BotId] | None = None) -> Room:
    labels = {SHOP_SOURCE: SHOP} if labels is None else labels
    tasks: set[asyncio.Task[None]] = set()

    def spawn(coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    router = Router(
        ledger,
        RouterSettings(Window(10, 1 << 20), RetryPolicy(3, False), DeliverySection().max_update_age),
        monotonic=monotonic_s,
        utc=utc,
        random=lambda: 0.0,
        spawn=spawn,
    )
    for source, bot_id in labels.items():
        router.add_bot(bot_id, source)
    made = Room(ledger, router, JobResults(ledger, router, labels.get), utc)
    router.call_when_waiting(made.woken.append)
    return made


async def test_an_end_is_handed_over_once_however_often_it_is_delivered(tmp_path):
    path, utc = tmp_path / "brama.db", Utc()
    async with opened(path) as ledger:
        here = room(ledger, utc)
        here.worker()
        assert await here.results.deliver(ORIGIN, end())
        assert not await here.results.deliver(ORIGIN, end())
        [handed] = await here.wait_handed(1)
        assert handed.update_id < 0
        here.router.worker_said(SHOP, NEXT, Processed([handed.seq]))
        assert not await here.results.deliver(ORIGIN, end())
        assert await here.results.deliver(ORIGIN, end(attempt=2))
        assert_balanced(ledger.tally(SHOP_SOURCE))
    async with opened(path) as ledger:  # the next master
        here = room(ledger, utc)
        here.worker()
        assert not await here.results.deliver(ORIGIN, end())
        assert not await here.results.deliver(ORIGIN, end(attempt=2))
        assert len(await here.wait_handed(1)) == 1
        assert (ledger.tally(SHOP_SOURCE).processed, ledger.tally(SHOP_SOURCE).waiting) == (1, 1)


async def test_it_wakes_a_bot_without_a_worker_and_waits_for_it(tmp_path):
    async with opened(tmp_path / "brama.db") as ledger:
        here = room(ledger, Utc())
        await here.results.deliver(ORIGIN, end())
        await await_until(lambda: here.woken == [SHOP])
        assert here.router.waits(SHOP)
        here.utc.now += 400 * 24 * 3600.0  # there is no age after which nobody wants it
        here.worker()
        await here.wait_handed(1)


async def test_it_is_handed_over_again_after_a_death_and_charged_like_an_update(tmp_path):
    async with opened(tmp_path / "brama.db") as ledger:
        here = room(ledger, Utc())
        await here.results.deliver(ORIGIN, end())
        for death in range(1, 4):
            here.worker(death)
            handed = (await here.wait_handed(death))[-1]
            here.router.worker_said(SHOP, Generation(death), Begun([handed.seq]))
            assert here.router.worker_gone(SHOP, commanded=False)
        await ledger.settle()
        [letter] = await ledger.dead_letters()
        assert (letter.reason, letter.kind) == (Reason.POISON, "job_result")


async def test_a_letter_of_it_is_replayed_and_not_delivered_beside_that(tmp_path):
    async with opened(tmp_path / "brama.db") as ledger:
        here = room(ledger, Utc())
        here.worker()
        await here.results.deliver(ORIGIN, end())
        [handed] = await here.wait_handed(1)
        failed = Failed(handed.seq, "ValueError", "no", "stack", None, False, False)
        here.router.worker_said(SHOP, NEXT, failed)
        await ledger.settle()
        [letter] = await ledger.dead_letters()
        assert not await here.results.deliver(ORIGIN, end())
        [(bot_id, row)] = await ledger.replay([letter.letter_id])
        here.router.arrived(bot_id, [row])
        assert (await here.wait_handed(2))[1].raw == handed.raw
        assert not await here.results.deliver(ORIGIN, end())
        assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_it_keeps_its_place_among_the_updates_of_its_chat(tmp_path):
    @dataclass(frozen=True)
    class Dedup:
        window: float = 30.0
        max_keys: int = 100
        content: bool = False

    async with opened(tmp_path / "brama.db") as ledger:
        here = room(ledger, Utc())
        window = MessageWindow(30.0, 100)
        intake = Intake(ledger, Dedup(), here.router, window=window)
        first = await intake.accept(SHOP, SHOP_SOURCE, [update(1)])
        await here.results.deliver(ORIGIN, end())
        noted = len(window.noted)
        second = await intake.accept(SHOP, SHOP_SOURCE, [update(2)])
        # The poller's offset and the message window know of Telegram's updates alone.
        assert (first.last_update_id, second.last_update_id) == (1, 2)
        assert (noted, len(window.noted)) == (1, 2)
        here.worker()
        one, result, two = await here.wait_handed(3)
        assert (one.update_id, result.update_id < 0, two.update_id) == (1, True, 2)
        rows = await ledger.page(SHOP_SOURCE, START, 10, 1 << 20)
        assert [row.lane for row in rows] == ["c3", "c3", "c3"]


async def test_it_follows_the_bot_to_its_new_label_and_waits_for_one_that_has_gone(tmp_path):
    path = tmp_path / "brama.db"
    new = BotId("new")
    async with opened(path) as ledger:
        gone = room(ledger, Utc(), {})
        assert await gone.results.deliver(ORIGIN, end())

        class Nobody:
            def __getattr__(self, name: str) -> Any:
                return lambda *_: None

        roster = Roster(Nobody(), Nobody(), ledger, lambda coroutine: coroutine.close())
        assert roster.bot_of(SHOP_SOURCE) is None
        [orphan] = roster.orphans()
        assert (orphan.telegram_id, orphan.inbox) == (SHOP_SOURCE.telegram_id, 1)
    async with opened(path) as ledger:
        here = room(ledger, Utc(), {SHOP_SOURCE: new})
        handed: list[ToWorker] = []
        here.router.worker_ready(new, NEXT, handed.extend)
        assert await here.results.deliver(ORIGIN, end("k2"))
        await await_until(lambda: len(handed) == 2, what="both results under the new label")


async def test_nothing_of_another_bots_result_comes_to_a_bot_under_its_old_label(tmp_path):
    async with opened(tmp_path / "brama.db") as ledger:
        here = room(ledger, Utc(), {Source(TelegramId(9), SHOP_SOURCE.base_url): SHOP})
        here.worker()
        await here.results.deliver(ORIGIN, end())
        await ledger.settle()
        assert here.handed == []
        assert [row.seq for row in await ledger.page(SHOP_SOURCE, START, 10, 1 << 20)] == [Seq(1)]
