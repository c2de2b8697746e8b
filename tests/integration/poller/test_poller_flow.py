"""A bot's intake when all is well: who it is, what it asks for, what it confirms."""

import asyncio

import pytest
from structlog.testing import capture_logs

from brama.config.models import DeliverySection
from brama.ids import BotId
from brama.update_kinds import UPDATE_KINDS
from supervisor.updates.ingress import IngressState
from supervisor.updates.model import Backlog
from tests.fixtures.sandbox import RunningSandbox, make_token
from tests.integration.poller.stage import Stage, disk_full
from tests.waiting import await_until


async def test_a_bot_is_identified_its_webhook_cleared_and_its_updates_fetched(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        early = stage.write(3)
        assert stage.status().state is IngressState.OFF
        stage.open()
        await stage.until_committed(early)
        await stage.until_polling()
        late = stage.write(250)
        await stage.until_committed(late)
        await stage.until_confirmed(early + late)
        assert stage.intake.ids() == early + late
        assert all(len(ids) <= 100 for _, ids in stage.intake.batches)
        ((name, identity),) = stage.observed.identities
        assert name == "bot1"
        assert b'"id":1001' in identity.replace(b" ", b"")
        assert stage.ledger.memory == {f"identity/1001@{sandbox.base_url}": identity}
        assert stage.calls("deleteWebhook") == 1
        assert set(stage.control.state(1001).allowed_updates) == set(UPDATE_KINDS)
        assert stage.status().state is IngressState.OK


async def test_a_known_identity_is_announced_at_once_and_asked_for_again_later(sandbox: RunningSandbox):
    async with Stage(sandbox, poll_timeout_s=1.3) as stage:
        old = b'{"id":1001,"is_bot":true,"first_name":"old"}'
        stage.ledger.memory[f"identity/1001@{sandbox.base_url}"] = old
        stage.open()
        await await_until(lambda: stage.observed.identities == [("bot1", old)])
        await await_until(lambda: len(stage.observed.identities) == 2)
        assert stage.calls("getMe") == 1
        assert stage.calls("getUpdates") >= 1
        assert stage.ledger.memory[f"identity/1001@{sandbox.base_url}"] == stage.observed.identities[1][1]


async def test_trouble_with_asking_again_is_no_trouble_of_polling(sandbox: RunningSandbox):
    async with Stage(sandbox, poll_timeout_s=1.3) as stage:
        known = b'{"id":1001,"is_bot":true,"first_name":"old"}'
        stage.ledger.memory[f"identity/1001@{sandbox.base_url}"] = known
        stage.control.add_fault("status", 1001, "getme", status=500, count=-1)
        stage.open()
        await await_until(lambda: stage.control.faults()[0].fired == 1)
        await stage.until_committed(stage.write(1))
        assert stage.status().state is IngressState.OK
        assert stage.observed.identities == [("bot1", known)]


async def test_a_token_rejected_when_asking_again_is_rejected(sandbox: RunningSandbox):
    async with Stage(sandbox, poll_timeout_s=1.3) as stage:
        stage.ledger.memory[f"identity/1001@{sandbox.base_url}"] = b'{"id":1001,"is_bot":true}'
        stage.control.add_fault("status", 1001, "getme", status=401)
        stage.open()
        await stage.until(IngressState.UNAUTHORIZED)
        assert [status for _, status, _ in stage.observed.rejections] == [401]


async def test_an_identity_that_cannot_be_kept_is_used_all_the_same(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.ledger.fault = disk_full()
        stage.open()
        with capture_logs() as logs:
            await stage.until_polling()
        assert len(stage.observed.identities) == 1
        assert [log["reason"] for log in logs if log["event"] == "identity.lost"] == ["the disk is full"]


async def test_an_identity_of_another_bot_in_the_cache_is_not_believed(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.ledger.memory[f"identity/1001@{sandbox.base_url}"] = b'{"id":1002,"is_bot":true}'
        stage.open()
        await await_until(lambda: stage.observed.identities)
        assert b"1001" in stage.observed.identities[0][1]


async def test_nothing_is_confirmed_before_it_is_committed(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.intake.gate.clear()
        ids = stage.write(2)
        stage.open()
        await await_until(lambda: stage.intake.began == 1)
        assert not any(update.confirmed for update in stage.control.updates(1001))
        stage.intake.gate.set()
        await stage.until_confirmed(ids)


async def test_ids_that_restart_lower_are_not_missed(sandbox: RunningSandbox):
    """After an empty answer no offset is sent, so that it cannot hide ids below it."""
    async with Stage(sandbox, poll_timeout_s=1.3) as stage:
        first = stage.write(2)
        stage.open()
        await stage.until_committed(first)
        await stage.until_confirmed(first)
        polls = stage.calls("getUpdates")
        await await_until(lambda: stage.calls("getUpdates") >= polls + 2)
        stage.control.inject(1001, [{"update_id": first[0] - 50, "message": {}}])
        await stage.until_committed([first[0] - 50])


@pytest.mark.parametrize(
    ("configured", "asked", "sent"),
    [
        (None, None, set(UPDATE_KINDS)),
        (None, ["message", "poll"], {"message", "poll"}),
        (("message",), ["poll"], {"message"}),
    ],
)
async def test_kinds_of_updates(sandbox: RunningSandbox, configured, asked, sent):
    async with Stage(sandbox, poll_timeout_s=1.3, allowed_updates=configured) as stage:
        stage.open()
        stage.pollers.set_allowed_updates(BotId("bot1"), asked)
        await await_until(lambda: set(stage.control.state(1001).allowed_updates) == sent)


async def test_a_full_backlog_pauses_polling_until_it_is_down(sandbox: RunningSandbox):
    delivery = DeliverySection(max_backlog=100, max_backlog_size=1_000_000)
    async with Stage(sandbox, delivery=delivery) as stage:
        stage.ledger.waiting = Backlog(100, 5000)
        ids = stage.write(2)
        stage.open()
        status = await stage.until(IngressState.FULL)
        assert "100 updates" in status.detail
        assert stage.calls("getUpdates") == 0
        stage.ledger.waiting = Backlog(95, 5000)
        looks = stage.ledger.looks
        await await_until(lambda: stage.ledger.looks >= looks + 2, what="another look at the backlog")
        assert stage.status().state is IngressState.FULL
        stage.ledger.waiting = Backlog(50, 1000)
        await stage.until_committed(ids)
        assert stage.status().state is IngressState.OK


async def test_closing_ends_the_poll_at_once_and_opening_goes_on(sandbox: RunningSandbox):
    async with Stage(sandbox, bots=2) as stage:
        stage.open(1)
        stage.open(1)
        stage.open(2)
        await stage.until_polling(1)
        await stage.until_polling(2)
        stage.close(1)
        assert stage.status(1).state is IngressState.OFF
        await await_until(lambda: stage.polls(1) == 0)
        ids = stage.write(1, bot=1)
        assert stage.polls(2) == 1
        stage.open(1)
        await stage.until_committed(ids)
        assert stage.calls("getMe") == 1
        assert stage.calls("deleteWebhook") == 1
        assert stage.status(2).state is IngressState.OK


async def test_a_quiet_bot_that_is_opened_again_is_not_off(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.open()
        await stage.until_polling()
        stage.close()
        await await_until(lambda: stage.polls() == 0)
        stage.open()
        await stage.until_polling()
        assert stage.status().state is IngressState.OK


async def test_closing_while_a_batch_is_written_lets_it_be_written(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.intake.gate.clear()
        ids = stage.write(2)
        stage.open()
        await await_until(lambda: stage.intake.began == 1)
        stage.close()
        closing = asyncio.ensure_future(stage.pollers.aclose())
        await asyncio.wait([closing], timeout=0.1)
        assert not closing.done()
        stage.intake.gate.set()
        await closing
        assert stage.intake.ids() == ids


async def test_many_bots_at_once_and_one_that_fails_alone(sandbox: RunningSandbox):
    count = 60
    async with Stage(sandbox, bots=count) as stage:
        stage.control.add_fault("status", 1003, "getupdates", status=500, count=-1)
        batch = [{"bot": 1000 + n, "chat_id": 7, "text": "x"} for n in range(1, count + 1)]
        stage.control.send_batch(batch)
        for number in range(1, count + 1):
            stage.open(number)
        others = {f"bot{number}" for number in range(1, count + 1)} - {"bot3"}
        await await_until(lambda: {name for name, _ in stage.intake.batches} == others)
        await stage.until(IngressState.OUTAGE, 3)
        assert {stage.status(n).state for n in range(1, count + 1) if n != 3} == {IngressState.OK}


async def test_a_defect_of_ours_costs_a_pause_and_not_the_intake(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.intake.fault = RuntimeError("a defect")
        ids = stage.write(1)
        stage.open()
        with capture_logs() as logs:
            status = await stage.until(IngressState.OUTAGE)
        assert "internal error" in status.detail
        assert [log["event"] for log in logs].count("poller.failed") == 1
        stage.intake.fault = None
        await stage.until_committed(ids)
        await stage.until(IngressState.OK)


async def test_a_change_of_state_is_one_line_without_a_token(sandbox: RunningSandbox):
    with capture_logs() as logs:
        async with Stage(sandbox) as stage:
            stage.open()
            await stage.until_polling()
            stage.control.add_fault("status", 1001, status=500, count=4)
            stage.write(1)
            await stage.until(IngressState.OUTAGE)
            await stage.until(IngressState.OK)
    changes = [(log["from"], log["to"], log["bot"]) for log in logs if log["event"] == "ingress.changed"]
    assert changes == [
        ("off", "ok", "bot1"),
        ("ok", "outage", "bot1"),
        ("outage", "ok", "bot1"),
        ("ok", "off", "bot1"),
    ]
    assert make_token(1001) not in str(logs)


async def test_a_rejected_token_ends_intake_until_it_is_opened_again(sandbox: RunningSandbox):
    async with Stage(sandbox) as stage:
        stage.control.revoke(1001)
        stage.open()
        status = await stage.until(IngressState.UNAUTHORIZED)
        assert status.detail == "Telegram rejected the token: 401 Unauthorized"
        assert stage.observed.rejections == [("bot1", 401, "Unauthorized")]
        stage.control.restore(1001)
        ids = stage.write(1)
        stage.open()
        await stage.until_committed(ids)
        stage.control.revoke(1001)
        stage.write(1)
        await stage.until(IngressState.UNAUTHORIZED)
        assert len(stage.observed.rejections) == 2
        polls = stage.calls("getUpdates")
        assert stage.polls() == 0
        assert stage.calls("getUpdates") == polls
