"""Bots' jobs on their way to the queue: real workers, a desk that answers when the test wants it to."""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from brama.errors import BramaError
from brama.ids import BotId
from brama.messages import Failed, Processed
from supervisor.fleet import job_clerk
from supervisor.fleet.policy.model import State
from supervisor.fleet.ports import JobOrder
from supervisor.fleet.zygote_start import ZYGOTE_MODULE
from tests.integration.fleet.stage import Stage, bot, settings, staged
from tests.integration.runtime.master import message
from tests.waiting import await_until

SHOP = BotId("shop")

SCRIPT = """
import brama
from telegram.ext import *

async def ask(update, context):
    print("got", await brama.enqueue("ANSWER", update.message.text, extra=[1], delay="1s"), flush=True)

app = Application.builder().token("none").build()
app.add_handler(MessageHandler(filters.TEXT, ask))
app.run_polling()
"""


@dataclass
class Desk:
    """A queue that remembers jobs by their keys; answers while ``opened`` is set."""

    orders: list[JobOrder] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: Exception | None = None

    async def enqueue(self, order: JobOrder) -> str:
        self.orders.append(order)
        await self.opened.wait()
        if self.trouble is not None:
            raise self.trouble
        return self.ids.setdefault(order.key, f"k{len(self.ids) + 1}")


@pytest.fixture
def configured(tmp_path):
    (tmp_path / "bots").mkdir()
    (tmp_path / "bots" / "asking.py").write_text(SCRIPT)
    return settings(tmp_path, bot("shop", "asking", tmp_path / "bots"))


def log_of(folder: Path) -> str:
    return (folder / "logs" / "worker_shop.log").read_text()


async def processed(stage: Stage, *seqs: int) -> None:
    def done() -> bool:
        said = [report.seqs for _, report in stage.router.reports if isinstance(report, Processed)]
        return set(seqs) <= {seq for each in said for seq in each}

    await await_until(done, what=f"Processed {seqs}")


async def failure(stage: Stage) -> Failed:
    found = await await_until(
        lambda: next((each for _, each in stage.router.reports if isinstance(each, Failed)), None)
    )
    assert found is not None
    return found


async def test_a_job_goes_to_the_desk_and_its_id_to_the_bot(tmp_path, configured):
    desk = Desk()
    async with staged(configured, module=ZYGOTE_MODULE, desk=desk) as stage:
        await stage.reaches(State.RUNNING)
        stage.router.deliver("shop", 1, message(1, "why?", chat_id=7))
        await await_until(lambda: desk.orders)
        [order] = desk.orders
        assert (order.name, order.queue, order.data, order.delay_ms) == ("ANSWER", "ANSWER", "why?", 1000)
        origin = order.origin
        assert (origin.bot_id, origin.telegram_id, origin.base_url) == (
            "shop",
            configured.bots[0].telegram_id,
            configured.telegram.base_url,
        )
        assert (origin.chat_id, origin.user_id, origin.update_id, origin.extra) == (7, 7, 1, [1])
        assert stage.view().messages == 0
        desk.opened.set()
        await processed(stage, 1)
        assert "got k1" in log_of(tmp_path)


async def test_a_worker_that_dies_before_the_answer_enqueues_nothing_twice(tmp_path, configured):
    desk = Desk()
    async with staged(configured, module=ZYGOTE_MODULE, desk=desk) as stage:
        pid = (await stage.reaches(State.RUNNING)).pid or 0
        stage.router.deliver("shop", 1, message(1))
        await await_until(lambda: desk.orders)
        os.kill(pid, signal.SIGKILL)
        await stage.outlives(pid)
        stage.router.deliver("shop", 1, message(1))
        await await_until(lambda: len(desk.orders) == 2)
        desk.opened.set()
        await processed(stage, 1)
        assert list(desk.ids.values()) == ["k1"]
        assert "got k1" in log_of(tmp_path)


async def test_the_next_master_asks_again_for_what_was_not_answered(tmp_path, configured):
    first_desk, second_desk = Desk(), Desk()
    async with staged(configured, module=ZYGOTE_MODULE, desk=first_desk) as first:
        pid = (await first.reaches(State.RUNNING)).pid
        first.router.deliver("shop", 1, message(1, "one"))
        await await_until(lambda: first_desk.orders)
        left = await first.hand_over()
        first_desk.opened.set()  # too late: nobody hears it
        async with staged(
            configured, first.store, module=ZYGOTE_MODULE, left=left, desk=second_desk
        ) as second:
            await await_until(lambda: second_desk.orders)
            assert second_desk.orders == first_desk.orders
            second_desk.opened.set()
            await processed(second, 1)
            assert second.view().pid == pid
            second.router.deliver("shop", 2, message(2, "two"))
            await processed(second, 2)
    assert list(second_desk.ids.values()) == ["k1", "k2"]


async def test_without_a_queue_the_author_is_told_what_to_set(tmp_path, configured):
    async with staged(configured, module=ZYGOTE_MODULE) as stage:
        await stage.reaches(State.RUNNING)
        stage.router.deliver("shop", 1, message(1))
        failed = await failure(stage)
        assert failed.error == "brama.errors.NotAcceptedError"
        assert "set jobs.enabled: true" in failed.detail


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (BramaError("job ANSWER: the disk is full"), "job ANSWER: the disk is full"),
        (RuntimeError("defect"), "job ANSWER: RuntimeError in the supervisor; its log says more"),
    ],
)
async def test_what_the_desk_cannot_do_is_told_to_the_bot(tmp_path, configured, trouble, words):
    desk = Desk(trouble=trouble)
    desk.opened.set()
    async with staged(configured, module=ZYGOTE_MODULE, desk=desk) as stage:
        await stage.reaches(State.RUNNING)
        stage.router.deliver("shop", 1, message(1))
        assert (await failure(stage)).detail == words


async def test_a_bot_cannot_fill_the_master(tmp_path, configured, monkeypatch):
    monkeypatch.setattr(job_clerk, "MAX_PENDING", 0)
    desk = Desk()
    async with staged(configured, module=ZYGOTE_MODULE, desk=desk) as stage:
        await stage.reaches(State.RUNNING)
        stage.router.deliver("shop", 1, message(1))
        assert "0 jobs of this bot wait to be stored" in (await failure(stage)).detail
        assert desk.orders == []
