"""What becomes of an update that was delivered: durable before it is answered, once whatever comes twice."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from brama.arrival import Arrival
from brama.config.models import DeliverySection
from supervisor.updates.ingress import IngressState
from tests.fixtures.sandbox import RunningSandbox
from tests.integration.inbox_tools import assert_balanced, query, small_disk, update
from tests.integration.test_ledger_stall import Ballast
from tests.integration.webhook_ingress.stage import BOT, Home, Stage
from tests.ports import free_port
from tests.waiting import await_until, loop_turn


@pytest.fixture
async def stage(home: Home):
    """A bot that takes updates; nothing is asked of Telegram before it is opened."""
    async with home.start() as stage:
        stage.open()
        yield stage


def on_disk(home: Home) -> list[int]:
    """The ids of the updates that wait, as another process reads them."""
    rows = query(home.folder / "brama.db", "SELECT update_id FROM waiting ORDER BY seq")
    return [update_id for (update_id,) in rows]


async def test_an_update_is_on_disk_when_it_is_answered(home: Home, stage: Stage):
    assert await stage.ingresses.accept(BOT, update(5)) is Arrival.ACCEPTED
    assert on_disk(home) == [5]
    assert stage.arrived.ids == [5]
    assert stage.arrived.rows[0].raw == update(5)


async def test_a_redelivery_is_a_duplicate(stage: Stage):
    answers = [await stage.ingresses.accept(BOT, update(5)) for _ in range(3)]
    assert answers == [Arrival.ACCEPTED, Arrival.DUPLICATE, Arrival.DUPLICATE]
    assert stage.arrived.ids == [5]
    assert stage.ledger.tallies()[stage.source].repeated == 2


async def test_a_message_under_another_update_id_is_a_duplicate(stage: Stage):
    again = update(5).replace(b'"update_id": 5', b'"update_id": 6')
    assert await stage.ingresses.accept(BOT, update(5)) is Arrival.ACCEPTED
    assert await stage.ingresses.accept(BOT, again) is Arrival.DUPLICATE
    tally = stage.ledger.tallies()[stage.source]
    assert (tally.waiting, tally.dropped) == (1, 1)
    assert_balanced(tally)


@pytest.mark.parametrize("second_id", [5, 6], ids=["the same update", "the same message"])
async def test_two_at_once_share_one_commit(stage: Stage, second_id: int):
    again = update(5).replace(b'"update_id": 5', b'"update_id": %d' % second_id)
    answers = await asyncio.gather(*[stage.ingresses.accept(BOT, raw) for raw in (update(5), again)])
    assert sorted(answers) == [Arrival.ACCEPTED, Arrival.DUPLICATE]
    assert stage.arrived.ids == [5]


async def test_many_at_once_all_arrive_once(home: Home, stage: Stage):
    raws = [update(number // 2, chat=number % 7) for number in range(400)]
    answers = await asyncio.gather(*[stage.ingresses.accept(BOT, raw) for raw in raws])
    assert answers.count(Arrival.ACCEPTED) == answers.count(Arrival.DUPLICATE) == 200
    assert sorted(on_disk(home)) == list(range(200))


async def test_a_caller_that_leaves_takes_nothing_with_it(home: Home, stage: Stage):
    caller = asyncio.get_running_loop().create_task(stage.ingresses.accept(BOT, update(5)))
    await loop_turn()
    caller.cancel()
    with suppress(asyncio.CancelledError):
        await caller
    assert caller.cancelled()
    await stage.until_arrived([5])
    assert on_disk(home) == [5]
    assert await stage.ingresses.accept(BOT, update(5)) is Arrival.DUPLICATE


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"message":{}}', b'{"update_id":"7"}', b"\xff"])
async def test_what_is_no_update_is_written_nowhere(stage: Stage, raw: bytes):
    assert await stage.ingresses.accept(BOT, raw) is Arrival.MALFORMED
    assert stage.ledger.tallies().get(stage.source) is None


async def test_a_full_backlog_refuses_until_it_is_down(home: Home):
    async with home.start(delivery=DeliverySection(max_backlog=100)) as stage:
        stage.open()
        await stage.until(IngressState.OK)
        for number in range(100):
            assert await stage.ingresses.accept(BOT, update(number)) is Arrival.ACCEPTED
        with capture_logs() as logs:
            assert await stage.ingresses.accept(BOT, update(100)) is Arrival.FULL
            assert "100 updates" in (await stage.until(IngressState.FULL)).detail
        assert [(log["from"], log["to"]) for log in logs if log["event"] == "ingress.changed"] == [
            ("ok", "full")
        ]
        seqs = [row.seq for row in stage.arrived.rows]
        stage.ledger.processed(seqs[:5])
        await await_until(lambda: stage.ledger.backlog(stage.source).rows == 95)
        # It was full, so it is until nine tenths are left.
        assert await stage.ingresses.accept(BOT, update(100)) is Arrival.FULL
        stage.ledger.processed(seqs[5:11])
        await await_until(lambda: stage.ledger.backlog(stage.source).rows == 89)
        assert await stage.ingresses.accept(BOT, update(100)) is Arrival.ACCEPTED
        await stage.until(IngressState.OK)


async def test_a_backlog_that_is_full_is_answered_for_and_comes_later(home: Home):
    async with home.start(delivery=DeliverySection(max_backlog=100), haste=300.0) as stage:
        stage.open()
        await stage.until_set()
        ids = stage.write(101)
        await await_until(lambda: stage.webhook.failed >= 1)
        assert stage.webhook.last_error_message == "Wrong response from the webhook: 503 Service Unavailable"
        assert stage.status.state is IngressState.FULL
        stage.ledger.processed([row.seq for row in stage.arrived.rows[:50]])
        await stage.until_arrived(ids)
        assert stage.arrived.ids == ids


async def test_a_full_disk_is_answered_for_and_named_and_what_waited_comes_later(
    sandbox: RunningSandbox, tmp_path: Path
):
    with small_disk(tmp_path / "disk") as disk:
        async with Home(sandbox, disk, free_port()).start(haste=300.0) as stage:
            stage.open()
            await stage.until_set()
            await stage.until_arrived(stage.write(1))
            ballast = Ballast(disk)
            ids = stage.write(3)
            status = await stage.until(IngressState.OUTAGE, "updates cannot be written: ")
            assert "the disk is full; make room on it" in status.detail
            assert stage.ingresses.trouble() == stage.ledger.stalled
            assert await stage.ingresses.accept(BOT, update(5)) is Arrival.UNWRITTEN
            await await_until(lambda: stage.webhook.failed >= 2)
            assert not set(ids) & set(stage.arrived.ids)
            ballast.remove()
            await stage.until_arrived(ids)
            await stage.until(IngressState.OK)
            assert stage.ingresses.trouble() is None
            assert len(stage.arrived.ids) == 4
            assert stage.status.mode == "webhook"


async def test_what_cannot_be_written_is_said_to_be_unwritten(stage: Stage):
    await stage.ledger.close()
    assert await stage.ingresses.accept(BOT, update(5)) is Arrival.UNWRITTEN
    assert stage.arrived.ids == []


async def test_a_bot_that_is_closed_or_unknown_takes_nothing(home: Home, stage: Stage):
    assert await stage.ingresses.accept("nobody", update(5)) is Arrival.CLOSED
    assert stage.ingresses.secret_of("nobody") is None
    stage.close()
    assert await stage.ingresses.accept(BOT, update(5)) is Arrival.CLOSED
    assert stage.ingresses.secret_of(BOT) is not None
    stage.open()
    assert await stage.ingresses.accept(BOT, update(5)) is Arrival.ACCEPTED
    stage.ingresses.drop(BOT)
    assert await stage.ingresses.accept(BOT, update(6)) is Arrival.CLOSED
    assert stage.ingresses.secret_of(BOT) is None
    assert on_disk(home) == [5]


async def test_late_words_about_a_bot_that_is_gone_change_nothing(stage: Stage):
    stage.ingresses.drop(BOT)
    stage.ingresses.set_allowed_updates(BOT, ["message"])
    stage.close()
    stage.ingresses.drop(BOT)
    assert stage.ingresses.states() == {}


async def test_a_bot_that_polls_takes_what_was_on_its_way(home: Home):
    async with home.start(mode="polling") as stage:
        stage.open()
        assert await stage.ingresses.accept(BOT, update(5)) is Arrival.ACCEPTED
        assert stage.status.mode == "polling"


async def test_without_a_key_there_is_no_secret(home: Home):
    async with home.start(webhook={"secret": None}) as stage:
        assert stage.ingresses.secret_of(BOT) is None
        stage.put({"secret": SecretStr("a-secret-of-the-operator-9876543210")})
        assert stage.ingresses.secret_of(BOT) is not None
