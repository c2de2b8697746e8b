"""A change of the webhook that Telegram carries out late, when nobody waits for it any more, does no harm."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from tests.integration.webhook_ingress.slow_road import SlowRoad, slow_road
from tests.integration.webhook_ingress.stage import Home, Stage
from tests.waiting import await_until

#: Many times what the next change takes, where it does not wait.
LATE_S = 0.4


@pytest.fixture
async def road(home: Home) -> AsyncIterator[SlowRoad]:
    """The way from the master to the sandbox."""
    async with slow_road(home.sandbox.base_url) as road:
        yield road


async def until_polling(stage: Stage) -> None:
    await await_until(lambda: stage.sandbox.control.state(1001).open_polls == 1, what="it polls")


async def test_a_late_deletion_takes_no_webhook_away(home: Home, road: SlowRoad):
    road.slow["deleteWebhook"] = LATE_S
    async with home.start(mode="polling", base_url=road.address) as stage:
        stage.open()
        await await_until(lambda: road.sent["deleteWebhook"], what="deleteWebhook is on its way")
        stage.put(mode="webhook")
        await await_until(lambda: road.answered["deleteWebhook"], what="deleteWebhook is carried out")
        await stage.until_set()
        await stage.until_arrived(stage.write(1))
        assert stage.calls("setWebhook") == 1


async def test_a_late_registration_ends_no_polling(home: Home, road: SlowRoad):
    road.slow["setWebhook"] = LATE_S
    async with home.start(base_url=road.address) as stage:
        stage.open()
        await await_until(lambda: road.sent["setWebhook"], what="setWebhook is on its way")
        stage.put(mode="polling")
        await await_until(lambda: road.answered["setWebhook"], what="setWebhook is carried out")
        await until_polling(stage)
        await stage.until_arrived(stage.write(1))
        assert stage.hook_url == ""
        assert stage.calls("deleteWebhook") == 1


async def test_a_late_secret_that_is_not_wanted_any_more_is_replaced(home: Home, road: SlowRoad):
    async with home.start(base_url=road.address) as stage:
        stage.open()
        await stage.until_set()
        wanted = stage.settings.webhook.secret
        road.slow["setWebhook"] = LATE_S
        stage.put({"secret": SecretStr("another-secret-of-the-operator-0123")})
        await await_until(lambda: road.sent["setWebhook"], what="setWebhook is on its way")
        stage.close()
        stage.put({"secret": wanted})
        stage.open()
        await await_until(lambda: road.answered["setWebhook"] >= 2, what="it is set again")
        await stage.until_arrived(stage.write(1))


async def test_a_master_that_ends_waits_for_no_answer(home: Home, road: SlowRoad):
    road.slow["setWebhook"] = 3600.0
    async with home.start(base_url=road.address) as stage:
        stage.open()
        await await_until(lambda: road.sent["setWebhook"], what="setWebhook is on its way")
    # What became of it is not known, so the next one sets it.
    assert stage.hook_url == ""
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
