"""Intake on a real inbox: decoding, both layers against duplicates, announcements, bad input."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from brama.ids import BotId, Seq, UpdateId
from supervisor.updates.inbox import schema
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.intake import Intake
from supervisor.updates.model import (
    Acceptance,
    Accepted,
    Candidate,
    CommitFailedError,
    Reason,
    Row,
    Source,
    Verdict,
)
from supervisor.updates.policy.message_window import SWEEP_INTERVAL_S, MessageWindow
from tests.integration.inbox_tools import (
    HELP,
    HELP_SOURCE,
    SHOP,
    SHOP_SOURCE,
    START,
    assert_balanced,
    opened,
    update,
)
from tests.waiting import await_until, loop_turn


@dataclass(frozen=True)
class Dedup:
    """The configuration's section of that name."""

    window: float = 30.0
    max_keys: int = 10_000
    content: bool = False


class Arrived:
    """Takes announcements down."""

    def __init__(self) -> None:
        self.rows: list[tuple[BotId, Row]] = []

    def arrived(self, bot_id: BotId, rows: Sequence[Row]) -> None:
        self.rows += [(bot_id, row) for row in rows]

    @property
    def update_ids(self) -> list[int]:
        return [row.update_id for _, row in self.rows]


class Monotonic:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "brama.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    async with opened(path) as ledger:
        yield ledger


@pytest.fixture
def arrived() -> Arrived:
    return Arrived()


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
def intake(ledger: Ledger, arrived: Arrived, clock: Monotonic) -> Intake:
    return Intake(ledger, Dedup(), arrived, clock)


def message(update_id: int, kind: str = "message", **fields: Any) -> bytes:
    """Return an update whose message is the same whatever the update_id."""
    said = {"message_id": 5, "date": 1_700_000_000, "chat": {"id": 3}, "from": {"id": 7}, "text": "hi"}
    return json.dumps({"update_id": update_id, kind: {**said, **fields}}).encode()


def press(update_id: int) -> bytes:
    query = {"id": "9", "from": {"id": 7}, "chat_instance": "x", "data": "d"}
    return json.dumps({"update_id": update_id, "callback_query": query}).encode()


async def test_a_batch_is_committed_and_announced(intake: Intake, ledger: Ledger, arrived: Arrived):
    batch: list[bytes | memoryview] = [update(7), memoryview(update(8)), press(9)]
    acceptance = await intake.accept(SHOP, SHOP_SOURCE, batch)
    assert acceptance == Acceptance(UpdateId(9), queued=3, dropped=0, known=0, malformed=0)
    rows = await ledger.page(SHOP_SOURCE, START, 10, 10**6)
    assert arrived.rows == [(SHOP, row) for row in rows]
    assert [row.raw for row in rows] == [bytes(raw) for raw in batch]
    assert [(row.kind, row.lane) for row in rows] == [
        ("message", "c3"),
        ("message", "c3"),
        ("callback_query", "u7"),
    ]


async def test_an_empty_batch_is_nothing(intake: Intake, ledger: Ledger):
    assert await intake.accept(SHOP, SHOP_SOURCE, []) == Acceptance(None, 0, 0, 0, 0)
    assert ledger.tallies() == {}


async def test_a_redelivery_is_known_and_not_announced(intake: Intake, arrived: Arrived):
    await intake.accept(SHOP, SHOP_SOURCE, [update(7), update(8)])
    again = await intake.accept(SHOP, SHOP_SOURCE, [update(8), update(9)])
    assert again == Acceptance(UpdateId(9), queued=1, dropped=0, known=1, malformed=0)
    assert arrived.update_ids == [7, 8, 9]


async def test_announcements_are_in_the_order_of_the_rows(intake: Intake, arrived: Arrived):
    await asyncio.gather(
        *(
            intake.accept(bot_id, source, [update(number * 2), update(number * 2 + 1)])
            for number in range(150)
            for bot_id, source in ((SHOP, SHOP_SOURCE), (HELP, HELP_SOURCE))
        )
    )
    seqs = [row.seq for _, row in arrived.rows]
    assert len(seqs) == 600
    assert seqs == sorted(seqs)


async def test_what_is_committed_is_announced_though_the_caller_has_gone(
    intake: Intake, ledger: Ledger, arrived: Arrived
):
    caller = asyncio.create_task(intake.accept(SHOP, SHOP_SOURCE, [update(7)]))
    await loop_turn()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await ledger.settle()
    assert arrived.update_ids == [7]
    await intake.accept(SHOP, SHOP_SOURCE, [update(8)])
    assert arrived.update_ids == [7, 8]


# --- the message window ---------------------------------------------------------------------------


async def test_a_message_under_two_ids_is_queued_once(intake: Intake, ledger: Ledger, arrived: Arrived):
    acceptance = await intake.accept(SHOP, SHOP_SOURCE, [message(7), message(8)])
    assert (acceptance.queued, acceptance.dropped) == (1, 1)
    acceptance = await intake.accept(SHOP, SHOP_SOURCE, [message(9)])
    assert (acceptance.queued, acceptance.dropped) == (0, 1)
    acceptance = await intake.accept(SHOP, SHOP_SOURCE, [message(9)])
    assert (acceptance.dropped, acceptance.known) == (0, 1)
    assert arrived.update_ids == [7]
    assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_a_message_in_two_batches_at_once_is_queued_once(intake: Intake, arrived: Arrived):
    acceptances = await asyncio.gather(
        *(intake.accept(SHOP, SHOP_SOURCE, [message(number), update(100 + number)]) for number in range(20))
    )
    assert sum(each.queued for each in acceptances) == 21
    assert sum(each.dropped for each in acceptances) == 19
    assert [each for each in arrived.update_ids if each < 100] == [0]


@pytest.mark.parametrize("kind", ["message", "edited_message", "channel_post", "edited_channel_post"])
async def test_kinds_that_the_window_looks_at(intake: Intake, kind: str):
    acceptance = await intake.accept(SHOP, SHOP_SOURCE, [message(7, kind), message(8, kind)])
    assert (acceptance.queued, acceptance.dropped) == (1, 1)


async def test_kinds_that_only_their_update_id_tells_apart(intake: Intake):
    others = [press(1), press(2), message(3, "business_message"), message(4, "business_message")]
    assert (await intake.accept(SHOP, SHOP_SOURCE, others)).queued == 4


async def test_what_differs_in_anything_is_another_message(intake: Intake):
    batch = [message(1), message(2, text="ho"), message(3, "edited_message"), message(4, chat={"id": 4})]
    assert (await intake.accept(SHOP, SHOP_SOURCE, batch)).queued == 4
    assert (await intake.accept(HELP, HELP_SOURCE, [message(5)])).queued == 1


async def test_the_window_is_as_long_as_configured(intake: Intake, clock: Monotonic):
    await intake.accept(SHOP, SHOP_SOURCE, [message(7)])
    clock.now_s += 29.9
    assert (await intake.accept(SHOP, SHOP_SOURCE, [message(8)])).dropped == 1
    clock.now_s += 0.2
    assert (await intake.accept(SHOP, SHOP_SOURCE, [message(9)])).queued == 1


async def test_a_window_of_zero_is_off(ledger: Ledger, arrived: Arrived):
    intake = Intake(ledger, Dedup(window=0.0), arrived)
    assert (await intake.accept(SHOP, SHOP_SOURCE, [message(7), message(8)])).queued == 2


async def test_only_what_was_queued_counts(intake: Intake, clock: Monotonic):
    await intake.accept(SHOP, SHOP_SOURCE, [message(7)])
    clock.now_s += 60
    assert (await intake.accept(SHOP, SHOP_SOURCE, [message(7)])).known == 1
    assert (await intake.accept(SHOP, SHOP_SOURCE, [message(8)])).queued == 1


async def test_the_window_is_swept_every_five_minutes(ledger: Ledger, arrived: Arrived, clock: Monotonic):
    window = MessageWindow(30.0, 10_000)
    intake = Intake(ledger, Dedup(), arrived, clock, window=window)
    await intake.accept(SHOP, SHOP_SOURCE, [update(number) for number in range(10)])
    clock.now_s += SWEEP_INTERVAL_S - 1
    await intake.accept(SHOP, SHOP_SOURCE, [press(50)])
    assert len(window) == 10
    clock.now_s += 1
    await intake.accept(SHOP, SHOP_SOURCE, [press(51)])
    assert len(window) == 0


async def test_the_same_words_are_the_same_message_only_on_request(ledger: Ledger, arrived: Arrived):
    batch = [message(1, message_id=1), message(2, message_id=2, date=1_700_000_005)]
    assert (await Intake(ledger, Dedup(), arrived).accept(SHOP, SHOP_SOURCE, batch)).queued == 2
    intake = Intake(ledger, Dedup(content=True), arrived)
    acceptance = await intake.accept(HELP, HELP_SOURCE, batch)
    assert (acceptance.queued, acceptance.dropped) == (1, 1)
    acceptance = await intake.accept(HELP, HELP_SOURCE, [message(3, message_id=3, date=1_700_000_010)])
    assert acceptance.dropped == 1


async def test_the_same_words_sent_apart_are_kept_though_they_come_together(
    ledger: Ledger, arrived: Arrived, clock: Monotonic
):
    intake = Intake(ledger, Dedup(content=True), arrived, clock)
    apart = [message(number, message_id=number, date=1_700_000_000 + 60 * number) for number in range(5)]
    assert (await intake.accept(SHOP, SHOP_SOURCE, apart[:3])).queued == 3
    assert (await intake.accept(SHOP, SHOP_SOURCE, apart[3:])).queued == 2


# --- commits that fail ----------------------------------------------------------------------------


async def test_what_was_not_committed_is_neither_announced_nor_known(
    path: Path, arrived: Arrived, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "_BUSY_S", 0.05)
    async with opened(path) as ledger:
        intake = Intake(ledger, Dedup(content=True), arrived)
        await intake.accept(SHOP, SHOP_SOURCE, [update(1)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            results = await asyncio.gather(
                *(intake.accept(SHOP, SHOP_SOURCE, [message(number), b"junk"]) for number in (7, 8, 9)),
                return_exceptions=True,
            )
            assert {type(result) for result in results} == {CommitFailedError}
        await await_until(lambda: ledger.stalled is None)
        assert arrived.update_ids == [1]
        acceptance = await intake.accept(SHOP, SHOP_SOURCE, [message(9), b"junk"])
        assert (acceptance.queued, acceptance.malformed) == (1, 1)
        assert ledger.tally(SHOP_SOURCE).committed == 3
        assert_balanced(ledger.tally(SHOP_SOURCE))


class HeldInbox:
    """An inbox whose commits happen when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._commits: list[Callable[[bool], None]] = []

    def begin_accept(
        self,
        bot_id: BotId,
        source: Source,
        candidates: Sequence[Candidate],
        told: Callable[[Any], None] | None = None,
    ) -> "asyncio.Future[tuple[Accepted, ...]]":
        future: asyncio.Future[tuple[Accepted, ...]] = asyncio.get_running_loop().create_future()
        self.batches.append([each.update_id for each in candidates if not each.duplicate])

        def commit(succeeds: bool) -> None:
            assert told is not None
            if not succeeds:
                error = CommitFailedError("the disk is full")
                told(error)
                future.set_exception(error)
                return
            accepted = tuple(
                Accepted(each.update_id, Verdict.DROPPED, None)
                if each.duplicate
                else Accepted(
                    each.update_id,
                    Verdict.QUEUED,
                    Row(Seq(each.update_id), each.update_id, each.kind, each.lane, each.raw, 0, 0, 0.0),
                )
                for each in candidates
            )
            told(accepted)
            future.set_result(accepted)

        self._commits.append(commit)
        return future

    def begin_bury_raw(
        self,
        bot_id: BotId,
        source: Source,
        update_id: UpdateId | None,
        raw: bytes,
        reason: Reason,
        detail: str,
    ) -> "asyncio.Future[bool]":
        raise NotImplementedError

    def commit(self, succeeds: bool) -> None:
        self._commits.pop(0)(succeeds)


@pytest.mark.parametrize("succeeds", [True, False])
async def test_the_second_of_two_equal_messages_shares_the_fate_of_the_first(
    arrived: Arrived, succeeds: bool
):
    inbox = HeldInbox()
    intake = Intake(inbox, Dedup(), arrived)
    first = asyncio.create_task(intake.accept(SHOP, SHOP_SOURCE, [message(1)]))
    await await_until(lambda: inbox.batches == [[1]])
    second = asyncio.create_task(intake.accept(SHOP, SHOP_SOURCE, [message(2)]))
    other = asyncio.create_task(intake.accept(SHOP, SHOP_SOURCE, [update(3)]))
    # Nobody but the second waits for the first.
    await await_until(lambda: inbox.batches == [[1], [3]])
    inbox.commit(succeeds)
    await await_until(lambda: len(inbox.batches) == 3)
    assert inbox.batches[2] == ([] if succeeds else [2])
    inbox.commit(True)
    inbox.commit(True)
    await asyncio.wait([first, second, other])
    assert isinstance(first.exception(), CommitFailedError) == (not succeeds)
    assert (await second).queued == (0 if succeeds else 1)
    assert sorted(arrived.update_ids) == [1 if succeeds else 2, 3]


# --- bad input ------------------------------------------------------------------------------------

HORRORS = [
    b"",
    b"junk",
    b"[]",
    b'{"message": {}}',
    b'{"update_id": true}',
    b'{"update_id": -1}',
    b'{"update_id": 9223372036854775808}',
    b'{"update_id": 1e5}',
    b'{"update_id": 500, "x": "\xff"}',
    b'{"update_id": 501, "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"update_id": 502, "x": "' + b"y" * 10_000_000,
    b"\0" * 1000,
]


async def test_malformed_elements_become_letters_and_stop_nothing(
    intake: Intake, ledger: Ledger, arrived: Arrived
):
    batch = [raw for number, horror in enumerate(HORRORS) for raw in (horror, update(number))]
    acceptance = await intake.accept(SHOP, SHOP_SOURCE, batch)
    assert acceptance == Acceptance(UpdateId(11), len(HORRORS), 0, 0, malformed=len(HORRORS))
    assert arrived.update_ids == list(range(len(HORRORS)))
    letters = await ledger.dead_letters()
    assert [letter.update_id for letter in letters if letter.update_id is not None] == [502, 501, 500]
    assert {letter.reason for letter in letters} == {Reason.MALFORMED}
    bodies = [await ledger.dead_letter(letter.letter_id) for letter in reversed(letters)]
    assert [letter.raw for letter in bodies if letter is not None] == HORRORS
    assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_strange_updates_are_taken_as_they_are(intake: Intake, ledger: Ledger):
    strange = [
        b'{"update_id": 1, "message": {"text": "' + b"x" * 10_000_000 + b'"}}',
        rb'{"update_id": 2, "message": {"chat": {"id": 3}, "text": "\ud800"}}',
        b'{"update_id": 3, "message": null}',
        b'{"update_id": 4}',
        b'{"update_id": 5, "unheard_of": {"chat": {"id": 4}}}',
    ]
    assert (await intake.accept(SHOP, SHOP_SOURCE, strange)).queued == 5
    rows = await ledger.page(SHOP_SOURCE, START, 10, 10**9)
    assert [row.raw for row in rows] == strange
    assert [row.lane for row in rows] == ["", "c3", "", "", "c4"]


async def test_a_malformed_element_is_buried_once(intake: Intake, ledger: Ledger):
    batch = [b"junk", b"junk", b'{"update_id": 500, "x": "\xff"}']
    for _ in range(3):
        acceptance = await intake.accept(SHOP, SHOP_SOURCE, batch)
        assert acceptance == Acceptance(UpdateId(500), 0, 0, 0, malformed=3)
    assert len(await ledger.dead_letters()) == 2
    assert_balanced(ledger.tally(SHOP_SOURCE))


@pytest.mark.parametrize(
    ("batch", "last"),
    [
        ([update(7), b"junk"], 7),
        ([update(7), b'{"update_id": 8, "x": "\xff"}'], 8),
        ([update(900), update(5)], 5),
        ([b"junk"], None),
    ],
)
async def test_the_last_id_that_can_be_told_is_the_last_id(
    intake: Intake, batch: list[bytes], last: int | None
):
    assert (await intake.accept(SHOP, SHOP_SOURCE, batch)).last_update_id == last
