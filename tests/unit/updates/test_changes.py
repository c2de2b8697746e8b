"""Changes of how updates are handed over follow one another, whoever stops waiting for them."""

import asyncio
from contextlib import suppress

import pytest

from brama.ids import TelegramId
from supervisor.updates.changes import Changes
from tests.waiting import loop_turn

SHOP, HELP = TelegramId(1001), TelegramId(1002)


class Telegram:
    """Carries calls out when it is told to, and takes down their order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    async def call(self, name: str) -> str:
        self.begun.append(name)
        await self._gates.setdefault(name, asyncio.Event()).wait()
        self.done.append(name)
        return f"answer to {name}"

    def answer(self, name: str) -> None:
        self._gates.setdefault(name, asyncio.Event()).set()


@pytest.fixture
def telegram() -> Telegram:
    return Telegram()


async def turns() -> None:
    for _ in range(5):
        await loop_turn()


def begin(changes: Changes, telegram: Telegram, name: str, bot: TelegramId = SHOP) -> "asyncio.Task[str]":
    return asyncio.get_running_loop().create_task(changes.make(bot, lambda: telegram.call(name)))


async def test_a_change_is_made_and_answered(telegram: Telegram):
    task = begin(Changes(), telegram, "set")
    telegram.answer("set")
    assert await task == "answer to set"


async def test_the_next_waits_for_one_that_nobody_waits_for_any_more(telegram: Telegram):
    changes = Changes()
    first = begin(changes, telegram, "set")
    await turns()
    first.cancel()
    second = begin(changes, telegram, "delete")
    await turns()
    assert first.cancelled()
    assert telegram.begun == ["set"]
    telegram.answer("set")
    telegram.answer("delete")
    assert await second == "answer to delete"
    assert telegram.done == ["set", "delete"]


async def test_many_follow_one_another(telegram: Telegram):
    changes = Changes()
    names = [str(number) for number in range(20)]
    tasks = [begin(changes, telegram, name) for name in names]
    for number, name in enumerate(names):
        await turns()
        assert len(telegram.begun) == number + 1
        telegram.answer(telegram.begun[-1])
        assert name not in telegram.done
    await asyncio.gather(*tasks)
    assert telegram.done == telegram.begun
    assert sorted(telegram.done, key=int) == names


async def test_another_bot_does_not_wait(telegram: Telegram):
    changes = Changes()
    slow = begin(changes, telegram, "slow")
    await turns()
    telegram.answer("quick")
    assert await begin(changes, telegram, "quick", HELP) == "answer to quick"
    telegram.answer("slow")
    await slow


async def test_one_that_waits_for_its_turn_and_is_cancelled_is_not_made(telegram: Telegram):
    changes = Changes()
    first, second = begin(changes, telegram, "set"), begin(changes, telegram, "delete")
    await turns()
    second.cancel()
    telegram.answer("set")
    await first
    await changes.wait_over(SHOP)
    assert telegram.begun == ["set"]


async def test_a_look_waits_until_changes_are_over(telegram: Telegram):
    changes = Changes()
    await changes.wait_over(SHOP)
    change = begin(changes, telegram, "set")
    await turns()
    look = asyncio.get_running_loop().create_task(changes.wait_over(SHOP))
    await turns()
    assert not look.done()
    telegram.answer("set")
    await look
    assert change.done() or telegram.done == ["set"]
    await change


async def test_one_that_fails_stands_in_nobodys_way(telegram: Telegram):
    async def fail() -> str:
        raise ValueError("no")

    changes = Changes()
    with pytest.raises(ValueError, match="no"):
        await changes.make(SHOP, fail)
    telegram.answer("set")
    assert await begin(changes, telegram, "set") == "answer to set"


async def test_at_the_end_nothing_is_waited_for(telegram: Telegram):
    changes = Changes()
    await changes.aclose()
    task = begin(changes, telegram, "never answered")
    await turns()
    await changes.aclose()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    await changes.wait_over(SHOP)
