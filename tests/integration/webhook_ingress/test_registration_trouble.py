"""Registration when Telegram, a rival or a mistake stands in its way."""

import pytest

from brama.clock import monotonic_s
from supervisor.updates.bot_api import Deadlines
from supervisor.updates.ingress import IngressState
from supervisor.updates.policy import registration
from tests.fixtures.sandbox import RunningSandbox, make_token
from tests.integration.poller.stage import Stage as Fleet
from tests.integration.sandbox.webhooks import set_again
from tests.integration.webhook_ingress.stage import BOT, Home
from tests.waiting import await_until

#: Looks that are minutes apart are a second apart at most.
HASTE = 300.0


async def test_no_more_than_twenty_bots_ask_at_a_time(sandbox: RunningSandbox):
    deadlines = Deadlines(answer_s=60.0)
    async with Fleet(sandbox, bots=30, mode="webhook", deadlines=deadlines) as fleet:
        sandbox.control.add_fault("hang", None, "getme", count=-1)
        for number in range(1, 31):
            fleet.open(number)
        await await_until(lambda: sandbox.control.faults()[0].fired >= 20)
        # More would have been sent in the same moment, and these questions come after them.
        assert [sandbox.control.faults()[0].fired for _ in range(10)] == [20] * 10


async def test_a_pause_that_telegram_asks_for_is_kept(home: Home):
    async with home.start() as stage:
        stage.sandbox.control.add_fault("retry_after", 1001, "setwebhook", seconds=2)
        stage.open()
        status = await stage.until(IngressState.PACED, "Telegram asked for a pause of 2 s")
        looks = stage.calls("getWebhookInfo")
        stage.put({"max_connections": 5})
        await stage.until_set()
        assert monotonic_s() >= status.since + 2
        assert stage.calls("getWebhookInfo") == looks + 2
        assert stage.webhook.max_connections == 5


async def test_a_foreign_webhook_is_replaced(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        await set_again(stage.sandbox, "https://elsewhere.example.com/hook")
        ids = stage.write(1)
        await stage.until_set()
        await stage.until_arrived(ids)
        assert stage.status.state is IngressState.OK


async def test_a_rival_is_a_conflict_and_never_wins(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        for _ in range(2):
            await set_again(stage.sandbox, "https://elsewhere.example.com/hook")
            await await_until(lambda: stage.hook_url == stage.url, what="it is set again")
        await stage.until(IngressState.CONFLICT, "somebody else keeps changing")
        await stage.until_arrived(stage.write(1))


async def test_somebody_elses_secret_is_replaced_by_the_next_master(home: Home):
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
    # All that Telegram shows is as it was.
    kinds = sorted(stage.kinds)
    await set_again(stage.sandbox, stage.url, secret_token="other", max_connections=40, allowed_updates=kinds)
    async with home.start(haste=HASTE) as stage:
        ids = stage.write(1)
        stage.open()
        await stage.until_arrived(ids)
        assert stage.calls("setWebhook") >= 3


async def test_a_rejected_token_ends_it_until_the_bot_is_opened_anew(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        stage.sandbox.control.revoke(1001)
        await stage.until(IngressState.UNAUTHORIZED, "Telegram rejected the token: 401")
        assert [(bot, status) for bot, status, _ in stage.observed.rejections] == [(BOT, 401)]
        assert make_token(1001) not in stage.status.detail
        stage.sandbox.control.restore(1001)
        stage.open()
        await stage.until(IngressState.OK)


@pytest.mark.parametrize("method", ["getme", "getwebhookinfo", "setwebhook"])
async def test_an_outage_of_the_bot_api_is_named_and_over_when_it_is_over(home: Home, method: str):
    async with home.start(haste=HASTE) as stage:
        stage.sandbox.control.add_fault("status", 1001, method, status=503, count=-1)
        stage.open()
        await stage.until(IngressState.OUTAGE, "status 503 and no JSON of the Bot API")
        await await_until(lambda: stage.sandbox.control.faults()[0].fired >= 3)
        told = [(BOT, "status 503 and no JSON of the Bot API")] if method == "getme" else []
        assert stage.observed.unreachable == told
        stage.sandbox.control.clear_faults()
        await stage.until_set()


async def test_a_setting_that_telegram_refuses_is_named(home: Home):
    async with home.start(haste=HASTE, webhook={"host": "http://bots.example.com"}) as stage:
        stage.open()
        await stage.until(IngressState.OUTAGE, "An HTTPS URL must be provided for webhook")
        stage.put({"host": f"http://127.0.0.1:{home.port}"})
        await stage.until_set()


async def test_what_telegram_says_of_its_failures_is_shown(home: Home):
    async with home.start(haste=HASTE) as stage:
        stage.sandbox.control.block_webhook(1001)
        ids = stage.write(2)
        stage.open()
        status = await stage.until(IngressState.OUTAGE, "(2 updates wait there)")
        assert status.detail == "Telegram cannot deliver: Connection timed out (2 updates wait there)"
        assert (status.pending, status.telegram_error) == (2, "Connection timed out")
        stage.sandbox.control.block_webhook(1001, blocked=False)
        await stage.until_arrived(ids)
        status = await stage.until(IngressState.OK)
        await await_until(lambda: stage.status.pending == 0)


async def test_what_failed_before_a_master_listened_is_no_outage(home: Home):
    """Its first look meets the failures of the time without one, or of its first seconds."""
    async with home.start() as stage:
        stage.open()
        await stage.until_set()
    home.sandbox.control.block_webhook(1001)
    async with home.start() as stage:
        ids = stage.write(3)
        await await_until(lambda: stage.webhook.failed > 0, what="a failure")
        stage.open()
        await await_until(lambda: stage.status.pending == 3, what="a look")
        assert stage.status.state is IngressState.OK
        home.sandbox.control.block_webhook(1001, blocked=False)
        await stage.until_arrived(ids)


async def test_a_delivery_ends_an_outage_at_once(home: Home, monkeypatch: pytest.MonkeyPatch):
    """The next look that is due by itself is far away."""
    async with home.start(haste=HASTE) as stage:
        stage.open()
        await stage.until_set()
        home.sandbox.control.block_webhook(1001)
        ids = stage.write(3)
        await stage.until(IngressState.OUTAGE, "Telegram cannot deliver")
        monkeypatch.setattr(registration, "TROUBLED_LOOK_S", 1e9)
        await await_until(lambda: stage.waits[-1] > 1e8, what="a long wait")
        home.sandbox.control.block_webhook(1001, blocked=False)
        await stage.until_arrived(ids)
        await stage.until(IngressState.OK)
