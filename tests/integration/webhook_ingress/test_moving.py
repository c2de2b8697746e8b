"""A bot moves between webhook and polling, told to or because Telegram cannot reach it, and loses nothing."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from structlog.testing import capture_logs

from brama.clock import utc_s
from brama.config.models import DeliverySection
from supervisor.updates.ingress import IngressState
from tests.integration.sandbox.webhooks import set_again
from tests.integration.webhook_ingress.stage import BOT, Home, Stage
from tests.waiting import await_until

#: Looks are 0.2 s apart at most, a fallback lasts 2 s.
HASTE = 300.0
SWITCHING = {"auto_switch": True, "switch_after": 0.2, "return_after": 600.0}


async def until_mode(stage: Stage, mode: str) -> None:
    """Wait until updates come in that way."""
    if mode == "polling":
        await await_until(lambda: stage.sandbox.control.state(1001).open_polls == 1, what="it polls")
    else:
        await await_until(lambda: stage.hook_url == stage.url, what="the webhook is set")
    await await_until(lambda: (stage.status.mode, stage.status.state) == (mode, IngressState.OK), what=mode)


def arrived_once(stage: Stage, ids: list[int]) -> Callable[[], bool]:
    """Return whether all of ``ids`` came, each once; false until they have all come."""

    def check() -> bool:
        came = stage.arrived.ids
        assert len(set(came)) == len(came)
        return set(ids) <= set(came)

    return check


@pytest.mark.parametrize("first", ["polling", "webhook"])
async def test_an_operator_moves_a_bot_there_and_back_under_load(home: Home, first: str):
    second = {"polling": "webhook", "webhook": "polling"}[first]
    async with home.start(mode=first, haste=HASTE) as stage:
        stage.open()
        await until_mode(stage, first)
        ids: list[int] = []
        for mode in (second, first):
            ids += await asyncio.to_thread(stage.write, 50)
            stage.put(mode=mode)
            ids += await asyncio.to_thread(stage.write, 50)
            await until_mode(stage, mode)
            ids += await asyncio.to_thread(stage.write, 10)
            await await_until(arrived_once(stage, ids), what="all have come")
        assert stage.status.switches == 0
        # One chat: whichever way it came, each is behind what was written before it.
        assert stage.arrived.ids == ids


@pytest.mark.parametrize("last", ["polling", "webhook"])
async def test_moves_in_quick_succession_end_as_the_last_one_says(home: Home, last: str):
    first = {"polling": "webhook", "webhook": "polling"}[last]
    async with home.start(mode=last, haste=HASTE) as stage:
        stage.open()
        ids: list[int] = []
        for turn in range(20):
            stage.put(mode=first)
            ids += await asyncio.to_thread(stage.write, 1)
            stage.put(mode=last)
            if turn % 5 == 0:
                stage.close()
                stage.open()
        await until_mode(stage, last)
        await await_until(arrived_once(stage, ids + stage.write(1)), what="all have come")
        assert (stage.hook_url != "") == (last == "webhook")


async def test_nothing_goes_on_for_a_bot_that_is_gone(home: Home):
    """Neither its task, nor its wait for the next try of its webhook."""
    async with home.start(haste=HASTE, webhook=SWITCHING | {"return_after": 1e6}) as stage:
        stage.sandbox.control.block_webhook(1001)
        stage.open()
        stage.write(1)
        await until_mode(stage, "polling")
        assert len(tasks_of_bots()) == 2
        stage.ingresses.drop(BOT)
        await await_until(lambda: not tasks_of_bots())


def tasks_of_bots() -> list[str]:
    """Return the tasks that go on for the intake of any bot."""
    return [text for task in asyncio.all_tasks() if "/supervisor/updates/bot_" in (text := repr(task))]


async def test_a_bot_that_polls_again_deletes_the_webhook_each_time(home: Home):
    async with home.start(mode="polling") as stage:
        stage.open()
        await until_mode(stage, "polling")
        stage.put(mode="webhook")
        await until_mode(stage, "webhook")
        stage.put(mode="polling")
        await until_mode(stage, "polling")
        assert stage.calls("deleteWebhook") == 2
        assert stage.calls("getUpdates") == 2  # none of which met the webhook
        assert stage.calls("setWebhook") == 1
        assert stage.hook_url == ""


@pytest.mark.parametrize("wrong_by_s", [0, -86_400, 86_400], ids=["right", "a day late", "a day early"])
async def test_a_bot_that_telegram_cannot_reach_polls_and_comes_back(home: Home, wrong_by_s: int):
    """Telegram says itself what time it has; the machine's clock does not matter."""
    async with home.start(haste=HASTE, webhook=SWITCHING, utc=lambda: utc_s() + wrong_by_s) as stage:
        stage.sandbox.control.block_webhook(1001)
        with capture_logs() as logs:
            stage.open()
            ids = stage.write(3)
            await until_mode(stage, "polling")
            await await_until(arrived_once(stage, ids))
            assert stage.status.switches == 1
            assert stage.status.telegram_error == "Connection timed out"
            stage.sandbox.control.block_webhook(1001, blocked=False)
            await until_mode(stage, "webhook")
            ids += stage.write(3)
            await await_until(arrived_once(stage, ids))
            assert stage.webhook.succeeded == 3
            status = stage.status
            assert (status.switches, status.telegram_error) == (2, None)
        changes = [log for log in logs if log["event"] == "ingress.switched"]
        assert [(log["from"], log["to"]) for log in changes] == [
            ("webhook", "polling"),
            ("polling", "webhook"),
        ]
        assert changes[0]["reason"].startswith(
            "Telegram cannot deliver: Connection timed out (3 updates wait"
        )


def has_switched(stage: Stage, times: int) -> bool:
    return stage.status.switches >= times


async def test_tries_that_fail_are_given_up_again_and_nothing_is_lost(home: Home):
    async with home.start(haste=HASTE, webhook=SWITCHING | {"return_after": 60.0}) as stage:
        stage.sandbox.control.block_webhook(1001)
        stage.open()
        ids: list[int] = []
        for _ in range(5):
            ids += stage.write(2)
            wanted = stage.status.switches + 1
            await await_until(partial(has_switched, stage, wanted), what="a switch")
        await await_until(arrived_once(stage, ids))


async def test_a_bot_whose_own_answers_are_failures_does_not_poll(home: Home):
    """Telegram reaches it, and polling would not help against a full backlog."""
    bounds = DeliverySection(max_backlog=100)
    async with home.start(haste=HASTE, webhook=SWITCHING | {"switch_after": 0.0}, delivery=bounds) as stage:
        stage.open()
        await until_mode(stage, "webhook")
        stage.write(101)
        await await_until(lambda: stage.webhook.failed >= 3)
        await stage.until_looked(3)
        assert stage.status.state is IngressState.FULL
        assert (stage.status.mode, stage.status.switches) == ("webhook", 0)


async def test_a_rivals_webhook_that_fails_is_no_reason_to_poll(home: Home):
    async with home.start(haste=HASTE, webhook=SWITCHING | {"switch_after": 0.0}) as stage:
        await set_again(stage.sandbox, "https://127.0.0.1:1/nobody-listens")
        stage.write(1)
        await await_until(lambda: stage.webhook.failed >= 1)
        stage.sandbox.control.add_fault("status", 1001, "setwebhook", status=503, count=-1)
        stage.open()
        await stage.until(IngressState.OUTAGE, "status 503")
        await stage.until_looked(3)
        assert (stage.status.mode, stage.status.switches) == ("webhook", 0)


async def test_without_auto_switch_nothing_is_switched(home: Home):
    async with home.start(
        haste=HASTE, webhook=SWITCHING | {"auto_switch": False, "switch_after": 0.0}
    ) as stage:
        stage.sandbox.control.block_webhook(1001)
        stage.open()
        stage.write(1)
        await stage.until(IngressState.OUTAGE, "Telegram cannot deliver")
        await stage.until_looked(3)
        assert (stage.status.mode, stage.status.switches) == ("webhook", 0)


@pytest.mark.parametrize("change", [{"auto_switch": False}, {"max_connections": 9}])
async def test_new_settings_try_the_webhook_at_once(home: Home, change: dict):
    async with home.start(haste=HASTE, webhook=SWITCHING | {"return_after": 1e6}) as stage:
        stage.sandbox.control.block_webhook(1001)
        stage.open()
        ids = stage.write(1)
        await until_mode(stage, "polling")
        await await_until(arrived_once(stage, ids))
        stage.sandbox.control.block_webhook(1001, blocked=False)
        stage.put(change)
        await until_mode(stage, "webhook")
        await await_until(arrived_once(stage, ids + stage.write(1)))


async def test_a_bot_that_is_stopped_begins_with_its_webhook(home: Home):
    async with home.start(haste=HASTE, webhook=SWITCHING | {"return_after": 1e6}) as stage:
        stage.sandbox.control.block_webhook(1001)
        stage.open()
        stage.write(1)
        await until_mode(stage, "polling")
        stage.close()
        stage.sandbox.control.block_webhook(1001, blocked=False)
        stage.open()
        await until_mode(stage, "webhook")
        assert stage.status.switches == 1
