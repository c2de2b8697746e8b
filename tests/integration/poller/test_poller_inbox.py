"""Pollers with the real intake and inbox: what Telegram sends is there, whatever it is."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from brama.config.models import DedupSection
from brama.ids import BotId
from supervisor.updates.inbox.ledger import Ledger, open_ledger
from supervisor.updates.ingress import IngressState
from supervisor.updates.intake import Intake
from supervisor.updates.model import Row
from tests.fixtures.sandbox import RunningSandbox
from tests.integration.poller.stage import Stage
from tests.waiting import await_until


class Arrived:
    """Stands where the router stands."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def arrived(self, bot_id: BotId, rows: Sequence[Row]) -> None:
        self.ids += [row.update_id for row in rows]


class House:
    """The inbox of one master."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.arrived = Arrived()
        self.intake = Intake(ledger, DedupSection(), self.arrived)

    def stage(self, sandbox: RunningSandbox, **changes) -> Stage:
        return Stage(sandbox, intake=self.intake, ledger=self.ledger, **changes)


@pytest.fixture
async def house(tmp_path: Path):
    ledger = open_ledger(tmp_path / "brama.db", "normal")
    yield House(ledger)
    await ledger.close()


DEEP = b'{"update_id":%d,"message":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


async def test_malformed_updates_stop_nothing_behind_them(sandbox: RunningSandbox, house: House):
    control = sandbox.control
    good, bad = [], []

    def spoil(number: int, body: bytes) -> None:
        bad.extend(control.inject_raw(1001, body, update_id=number).update_ids)

    good += control.send_messages(1001, 7, "first").update_ids
    start = good[0]
    spoil(start + 1, DEEP % (start + 1))
    good += control.send_messages(1001, 7, "{n}", count=30).update_ids
    spoil(start + 32, b'{"update_id":%d,"message":{"text":"\xff\xfe"}}' % (start + 32))
    spoil(start + 33, b"[1,2]")
    spoil(start + 34, b'"text"')
    good += control.inject_raw(
        1001, b'{"update_id":%d,"message":{"text":"\\ud800"}}' % (start + 35), update_id=start + 35
    ).update_ids
    spoil(start + 36, b'{"message":{}}')
    spoil(start + 37, b'{"update_id":%d,oops}' % (start + 37))
    good += control.send_messages(1001, 7, "last").update_ids
    big = b'{"update_id":%d,"message":{"text":"%s"}}' % (start + 39, b"x" * 10_000_000)
    good += control.inject_raw(1001, big, update_id=start + 39).update_ids
    good += control.send_messages(1001, 7, "very last").update_ids

    async with house.stage(sandbox) as stage:
        stage.open()
        await await_until(lambda: set(good) <= set(house.arrived.ids), what="all good updates arrive")
        await stage.until_confirmed(good)
        await stage.until_confirmed(bad)
        assert house.arrived.ids == good
        await stage.until(IngressState.OK)
    letters = await house.ledger.dead_letters(None, limit=100)
    assert {letter.reason.value for letter in letters} == {"malformed"}
    assert len(letters) == len(bad)


async def test_an_update_with_torn_quotes_is_fetched_alone(sandbox: RunningSandbox, house: House):
    """Where it ends cannot be told from the batch, so the batch is fetched again one by one."""
    control = sandbox.control
    good = control.send_messages(1001, 7, "{n}", count=5).update_ids
    torn_id = good[-1] + 1
    control.inject_raw(1001, b'{"update_id":%d,"message":{"text":"torn}' % torn_id, update_id=torn_id)
    good += control.send_messages(1001, 7, "{n}", count=20).update_ids
    async with house.stage(sandbox) as stage:
        stage.open()
        await await_until(lambda: house.arrived.ids == good, what="all good updates arrive")
        await stage.until_confirmed([*good, torn_id])
        await stage.until(IngressState.OK)
    (letter,) = await house.ledger.dead_letters(None, limit=100)
    assert letter.update_id == torn_id


async def test_an_update_without_any_id_does_not_make_the_poller_spin(sandbox: RunningSandbox, house: House):
    sandbox.control.inject_raw(1001, b"{}")
    async with house.stage(sandbox, haste=1.0) as stage:
        stage.open()
        status = await stage.until(IngressState.OUTAGE)
        assert "no update_id" in status.detail
        polls = stage.calls("getUpdates")
        assert polls <= 3
        ids = stage.write(1)
        await await_until(lambda: house.arrived.ids == ids)
        await stage.until(IngressState.OK)
        await stage.until_confirmed(ids)


@pytest.mark.parametrize("is_quiet", [False, True])
async def test_many_updates_without_any_id_are_passed(sandbox: RunningSandbox, house: House, is_quiet: bool):
    """More than one batch of them, with updates before and behind."""
    async with house.stage(sandbox, poll_timeout_s=1.0) as stage:
        before = stage.write(1)
        if is_quiet:
            stage.open()
            await stage.until_confirmed(before)
            stage.close()
        nameless = [stage.control.inject_raw(1001, b"{}").update_ids[0] for _ in range(230)]
        behind = stage.write(3)
        with capture_logs() as lines:
            stage.open()
            await await_until(lambda: house.arrived.ids == before + behind)
            await stage.until_confirmed(nameless + behind)
            await stage.until(IngressState.OK)
    assert [line["event"] for line in lines].count("update.malformed") == 1
    assert len(await house.ledger.dead_letters()) == 1
    assert house.ledger.tally(stage.source).repeated == 0


async def test_what_cannot_be_passed_is_told_of_once(sandbox: RunningSandbox, house: House):
    for _ in range(100):
        sandbox.control.inject_raw(1001, b"{}")
    async with house.stage(sandbox, haste=100.0) as stage:
        hidden = stage.write(1)
        with capture_logs() as lines:
            stage.open()
            assert "no earlier id is known" in (await stage.until(IngressState.OUTAGE)).detail
            await await_until(lambda: stage.calls("getUpdates") >= 2)
        assert [line["event"] for line in lines].count("update.malformed") == 1
        assert house.ledger.tally(stage.source).repeated == 0
        states = {update.update_id: update.confirmed for update in stage.control.updates(1001)}
        assert not states[hidden[0]]


async def test_a_master_that_starts_again_takes_nothing_twice(sandbox: RunningSandbox, house: House):
    """The last batch was committed and never confirmed: Telegram sends it again."""
    async with house.stage(sandbox) as stage:
        ids = stage.write(5)
        stage.open()
        await await_until(lambda: house.arrived.ids == ids)
    async with house.stage(sandbox, jitter=0.5) as stage:
        more = stage.write(5)
        stage.open()
        await await_until(lambda: house.arrived.ids == ids + more)
        await stage.until_confirmed(ids + more)
        assert house.ledger.backlog(stage.source).rows == 10
        assert stage.calls("getMe") == 1, "its identity is remembered"
