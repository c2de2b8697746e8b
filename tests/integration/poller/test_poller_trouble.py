"""Everything that can go wrong with Telegram or on the way to it, by name."""

import aiohttp
import pytest
from structlog.testing import capture_logs

from brama.clock import monotonic_s
from supervisor.updates.bot_api import Deadlines
from supervisor.updates.ingress import IngressState
from tests.fixtures.sandbox import RunningSandbox, make_token
from tests.integration.poller.stage import DEADLINES, Stage, disk_full
from tests.ports import free_port
from tests.waiting import await_until

#: Each: the fault, its options, and words of the detail that an operator reads.
FAULTS = [
    ("status", {"status": 502}, "status 502 and no JSON of the Bot API"),
    ("status", {"status": 500}, "500 Internal Server Error"),
    ("reset", {}, "the connection was closed without an answer"),
    ("garbage", {}, "status 200 and no JSON of the Bot API"),
    ("truncate", {}, "the answer broke off"),
    ("hang", {}, "no answer within"),
    ("half_open", {}, "no answer within"),
    ("drip", {"seconds": 10}, "the answer was not complete after 1 s"),
]


@pytest.mark.parametrize(("kind", "options", "words"), FAULTS, ids=lambda value: str(value)[:16])
async def test_an_outage_is_named_and_over_when_it_is_over(sandbox: RunningSandbox, kind, options, words):
    async with Stage(sandbox, poll_timeout_s=1.0) as stage:
        stage.open()
        await stage.until_polling()
        stage.control.add_fault(kind, 1001, "getupdates", count=-1, **options)
        ids = stage.write(3)
        status = await stage.until(IngressState.OUTAGE)
        assert words in status.detail
        assert make_token(1001) not in status.detail
        stage.control.clear_faults()
        await stage.until(IngressState.OK)
        await stage.until_committed(ids)
        await stage.until_confirmed(ids)


@pytest.mark.parametrize("method", ["getme", "deletewebhook"])
async def test_an_outage_at_the_start(sandbox: RunningSandbox, method: str):
    async with Stage(sandbox) as stage:
        stage.control.add_fault("status", 1001, method, status=503, count=-1)
        ids = stage.write(1)
        stage.open()
        await stage.until(IngressState.OUTAGE)
        await await_until(lambda: stage.control.faults()[0].fired >= 3)
        told = [] if method == "deletewebhook" else [("bot1", "status 503 and no JSON of the Bot API")]
        assert stage.observed.unreachable == told
        stage.control.clear_faults()
        await stage.until_committed(ids)
        assert len(stage.observed.identities) == 1


async def test_a_server_that_is_not_there(sandbox: RunningSandbox):
    async with Stage(sandbox, base_url=f"http://127.0.0.1:{free_port()}") as stage:
        stage.open()
        status = await stage.until(IngressState.OUTAGE)
        assert status.detail.startswith("cannot connect")
        assert stage.observed.unreachable == [("bot1", status.detail)]


async def test_a_server_without_tls(sandbox: RunningSandbox):
    async with Stage(sandbox, base_url=sandbox.base_url.replace("http:", "https:")) as stage:
        stage.open()
        assert (await stage.until(IngressState.OUTAGE)).detail.startswith("TLS failed")


async def test_another_account_at_the_other_end(sandbox: RunningSandbox):
    """A base URL that leads to something else than this bot."""
    async with Stage(sandbox) as stage:
        [bot] = stage.settings.bots
        stage.pollers.drop(bot.id)
        stage.pollers.put(bot.model_copy(update={"telegram_id": 5}), stage.settings)
        stage.open()
        status = await stage.until(IngressState.OUTAGE)
        assert "another account" in status.detail
        assert not stage.observed.identities


async def test_an_answer_that_is_too_large(sandbox: RunningSandbox):
    deadlines = Deadlines(DEADLINES.connect_s, DEADLINES.answer_s, 20.0, max_body_bytes=5000)
    async with Stage(sandbox, deadlines=deadlines) as stage:
        ids = stage.write(60)
        stage.open()
        await stage.until_committed(ids)
        await stage.until_confirmed(ids)


async def test_updates_that_cannot_be_written_stay_at_telegram(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.intake.fault = disk_full()
        ids = stage.write(3)
        stage.open()
        status = await stage.until(IngressState.OUTAGE)
        assert status.detail == "updates cannot be written: the disk is full"
        await await_until(lambda: stage.intake.began >= 2)
        assert not any(update.confirmed for update in stage.control.updates(1001))
        stage.intake.fault = None
        await stage.until_committed(ids)
        await stage.until_confirmed(ids)
        await stage.until(IngressState.OK)


async def test_one_transient_conflict_is_no_conflict(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.control.add_fault("conflict", 1001, "getupdates", count=1)
        ids = stage.write(1)
        with capture_logs() as logs:
            stage.open()
            await stage.until_committed(ids)
        assert stage.control.faults()[0].fired == 1
        assert [log["to"] for log in logs if log["event"] == "ingress.changed"] == ["ok"]


async def test_another_poller_is_a_conflict_that_never_ends_polling(sandbox: RunningSandbox):
    async with Stage(sandbox, poll_timeout_s=2.0) as stage:
        stage.open()
        await stage.until_polling()
        stage.control.add_fault("conflict", 1001, "getupdates", count=-1)
        stage.write(1)
        status = await stage.until(IngressState.CONFLICT)
        assert "another process fetches updates" in status.detail
        await await_until(lambda: stage.control.faults()[0].fired >= 4)
        stage.control.clear_faults()
        ids = stage.write(1)
        await stage.until_committed(ids)


async def test_a_real_other_poller(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage, aiohttp.ClientSession() as session:
        stage.open()
        await stage.until_polling()
        for _ in range(2):
            # Ours comes back and ends the other, as two pollers do to each other.
            async with session.get(sandbox.api_url(1001, "getUpdates"), params={"timeout": 50}) as response:
                assert response.status == 409
        await stage.until(IngressState.CONFLICT)


async def test_a_webhook_is_deleted_and_nothing_is_lost(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage, aiohttp.ClientSession() as session:
        stage.open()
        await stage.until_polling()
        url = sandbox.api_url(1001, "setWebhook")
        async with session.post(url, json={"url": "https://example.com/hook"}) as response:
            assert response.status == 200
        ids = stage.write(2)
        await stage.until_committed(ids)
        assert stage.calls("deleteWebhook") == 2
        assert stage.control.state(1001).webhook is None
        assert stage.status().state is IngressState.OK


async def test_a_pause_that_telegram_asks_for_is_kept(sandbox: RunningSandbox):
    async with Stage(sandbox, haste=1.0) as stage:
        stage.open()
        await stage.until_polling()
        stage.control.add_fault("retry_after", 1001, "getupdates", seconds=2)
        ids = stage.write(1)
        status = await stage.until(IngressState.PACED)
        assert status.detail == "Telegram asked for a pause of 2 s"
        await stage.until_committed([*ids, *stage.write(1)])
        assert monotonic_s() >= status.since + 2


async def test_starts_are_paced_once_telegram_says_so(sandbox: RunningSandbox):
    async with Stage(sandbox, bots=2, haste=1.0) as stage:
        stage.control.add_fault("retry_after", None, "getme", seconds=2, count=1)
        began_at = monotonic_s()
        stage.open(1)
        await stage.until(IngressState.PACED, 1)
        stage.open(2)
        await stage.until(IngressState.PACED, 2)
        assert "waits its turn" in stage.status(2).detail
        assert stage.calls("getMe", 2) == 0
        await stage.until(IngressState.OK, 1)
        assert monotonic_s() >= began_at + 2
        assert stage.status(2).state is IngressState.PACED
        await stage.until(IngressState.OK, 2)
        assert monotonic_s() >= began_at + 5


async def test_starts_are_not_paced_for_nothing(sandbox: RunningSandbox):
    """Bots that were there before go on at once, and a 429 in mid-life paces nobody else."""
    async with Stage(sandbox, bots=2) as stage:
        stage.open(1)
        await stage.until_polling(1)
        stage.control.add_fault("retry_after", 1001, "getupdates", seconds=30)
        stage.write(1)
        stage.write(1)
        await stage.until(IngressState.PACED, 1)
        stage.open(2)
        await stage.until(IngressState.OK, 2)
        assert stage.status(1).state is IngressState.PACED
