"""Dead letters: how updates get there, what is kept of them, and how they leave."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brama.ids import Seq, UpdateId
from supervisor.updates.inbox.housekeeping import LedgerLimits
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.inbox.operations import LetterError
from supervisor.updates.model import Backlog, Reason, Row, Tally, Verdict
from tests.integration.inbox_tools import (
    HELP,
    HELP_SOURCE,
    SHOP,
    SHOP_SOURCE,
    START,
    assert_balanced,
    candidate,
    opened,
    query,
    rows_of,
    update,
)
from tests.waiting import await_until

DAY_S = 24 * 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "brama.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    async with opened(path, utc=lambda: 1_700_000_000.0) as ledger:
        yield ledger


async def queue(ledger: Ledger, *update_ids: int) -> list[Row]:
    return rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in update_ids]))


async def bury(ledger: Ledger, *update_ids: int) -> list[int]:
    """Make dead letters; return their ids, oldest first."""
    for row in await queue(ledger, *update_ids):
        ledger.bury(row.seq, Reason.HANDLER_ERROR, "ValueError", "no", "Traceback")
    await ledger.settle()
    letters = await ledger.dead_letters(limit=len(update_ids))
    return [letter.letter_id for letter in reversed(letters)]


async def test_a_buried_row_becomes_a_letter(ledger: Ledger):
    first, other = await queue(ledger, 7, 8)
    ledger.attempt(first.seq, 2)
    ledger.charge(first.seq, 1)
    ledger.bury(first.seq, Reason.HANDLER_ERROR, "telegram.error.BadRequest", "Chat not found", "Traceback …")
    await ledger.settle()
    (listed,) = await ledger.dead_letters()
    letter = await ledger.dead_letter(listed.letter_id)
    assert letter is not None
    assert (letter.bot_id, letter.source) == (SHOP, SHOP_SOURCE)
    assert (letter.update_id, letter.kind, letter.attempts) == (7, "message", 3)
    assert (letter.reason, letter.error) == (Reason.HANDLER_ERROR, "telegram.error.BadRequest")
    assert (letter.detail, letter.traceback) == ("Chat not found", "Traceback …")
    assert letter.received_utc == letter.died_utc == 1_700_000_000.0
    assert (letter.raw, letter.size_bytes) == (first.raw, len(first.raw))
    assert listed.raw == b""
    assert listed.size_bytes == len(first.raw)
    assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == [other]
    assert ledger.tally(SHOP_SOURCE) == Tally(2, 0, 0, 1, 0, 1, 0)
    assert ledger.backlog(SHOP_SOURCE) == Backlog(1, len(other.raw))
    (again,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
    assert again.verdict is Verdict.KNOWN


async def test_a_row_dies_once(ledger: Ledger):
    (row,) = await queue(ledger, 7)
    ledger.bury(row.seq, Reason.POISON, "first", "", "")
    ledger.bury(row.seq, Reason.EXPIRED, "second", "", "")
    ledger.bury(Seq(row.seq + 9), Reason.EXPIRED, "nobody", "", "")
    await ledger.settle()
    ledger.bury(row.seq, Reason.EXPIRED, "third", "", "")
    ledger.processed([row.seq])
    await ledger.settle()
    assert [letter.error for letter in await ledger.dead_letters()] == ["first"]
    assert ledger.tally(SHOP_SOURCE) == Tally(1, 0, 0, 1, 0, 0, 0)


async def test_texts_that_no_database_takes_are_mended(ledger: Ledger):
    (row,) = await queue(ledger, 7)
    ledger.bury(row.seq, Reason.HANDLER_ERROR, "E\0", "lone \ud800 half", "x" * 100_000 + "the end")
    await ledger.settle()
    (letter,) = await ledger.dead_letters()
    assert letter.error == "E\ufffd"
    assert letter.detail == "lone ? half"
    assert letter.traceback.endswith("xthe end")
    assert len(letter.traceback) == 32_000


# --- malformed elements ---------------------------------------------------------------------------


async def test_a_malformed_element_is_kept_as_it_came(ledger: Ledger):
    raw = b'{"update_id": 5, "message": "\xff\0'
    assert await ledger.bury_raw(SHOP, SHOP_SOURCE, UpdateId(5), raw, Reason.MALFORMED, "invalid UTF-8")
    (listed,) = await ledger.dead_letters()
    letter = await ledger.dead_letter(listed.letter_id)
    assert letter is not None
    assert (letter.update_id, letter.reason, letter.detail) == (5, Reason.MALFORMED, "invalid UTF-8")
    assert letter.raw == raw
    assert ledger.tally(SHOP_SOURCE) == Tally(1, 0, 0, 1, 0, 0, 0)


@pytest.mark.parametrize("update_id", [UpdateId(5), None])
async def test_a_malformed_element_is_buried_once(ledger: Ledger, update_id: UpdateId | None):
    async def deliver(raw: bytes = b"junk") -> bool:
        return await ledger.bury_raw(SHOP, SHOP_SOURCE, update_id, raw, Reason.MALFORMED, "not JSON")

    assert await deliver()
    assert not await deliver()
    (letter,) = await ledger.dead_letters()
    assert await ledger.drop([letter.letter_id]) == 1
    assert not await deliver()
    assert await ledger.bury_raw(HELP, HELP_SOURCE, update_id, b"junk", Reason.MALFORMED, "not JSON")
    assert await deliver(b"other junk") == (update_id is None)
    assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_a_malformed_element_with_the_id_of_an_update_changes_nothing(ledger: Ledger):
    (row,) = await queue(ledger, 5)
    assert not await ledger.bury_raw(SHOP, SHOP_SOURCE, UpdateId(5), b"junk", Reason.MALFORMED, "not JSON")
    assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == [row]


# --- listing --------------------------------------------------------------------------------------


async def test_letters_are_listed_newest_first_by_page_and_by_bot(ledger: Ledger):
    letter_ids = await bury(ledger, 1, 2, 3, 4, 5)
    await ledger.bury_raw(HELP, HELP_SOURCE, None, b"junk", Reason.MALFORMED, "not JSON")
    first = await ledger.dead_letters(SHOP, limit=2)
    assert [letter.letter_id for letter in first] == [letter_ids[4], letter_ids[3]]
    second = await ledger.dead_letters(SHOP, limit=9, before=first[-1].letter_id)
    assert [letter.letter_id for letter in second] == letter_ids[2::-1]
    assert [letter.bot_id for letter in await ledger.dead_letters(limit=2)] == [HELP, SHOP]
    assert await ledger.dead_letter(999) is None


# --- replay and drop ------------------------------------------------------------------------------


async def test_a_replayed_letter_rejoins_at_the_tail_as_new(ledger: Ledger):
    (row,) = await queue(ledger, 7)
    ledger.attempt(row.seq, 3)
    ledger.bury(row.seq, Reason.ATTEMPTS_SPENT, "", "", "")
    (waiting,) = await queue(ledger, 8)
    await ledger.settle()
    (letter,) = await ledger.dead_letters()
    ((bot_id, replayed),) = await ledger.replay([letter.letter_id])
    assert bot_id == SHOP
    assert replayed.seq > waiting.seq
    assert (replayed.update_id, replayed.kind, replayed.lane, replayed.raw) == (7, "message", "c3", row.raw)
    assert (replayed.attempts, replayed.charges) == (0, 0)
    assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == [waiting, replayed]
    assert await ledger.dead_letters() == []
    assert ledger.tally(SHOP_SOURCE) == Tally(2, 0, 0, 0, 0, 2, 0)
    assert ledger.backlog(SHOP_SOURCE).rows == 2
    (again,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
    assert again.verdict is Verdict.KNOWN
    ledger.processed([replayed.seq])
    await ledger.settle()
    assert ledger.tally(SHOP_SOURCE).processed == 1
    assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_letters_are_replayed_in_the_order_named_and_once(ledger: Ledger):
    first, second, third = await bury(ledger, 1, 2, 3)
    replayed = await ledger.replay([third, first, third, second])
    assert [row.update_id for _, row in replayed] == [3, 1, 2]
    assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == [row for _, row in replayed]


async def test_a_letter_outlives_the_memory_of_its_update_id(path: Path):
    now_s = 1_700_000_000.0
    async with opened(path, utc=lambda: now_s, limits=LedgerLimits(sweep_interval_s=0.05)) as ledger:
        (letter_id,) = await bury(ledger, 7)
        now_s += 2 * DAY_S
        await await_until(lambda: query(path, "SELECT count(*) FROM updates") == [(0,)])
        ((_, row),) = await ledger.replay([letter_id])
        assert (row.update_id, row.received_utc) == (7, now_s)
        (again,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
        assert again.verdict is Verdict.KNOWN
        assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_an_update_of_the_same_id_that_waits_is_not_run_over(path: Path):
    now_s = 1_700_000_000.0
    async with opened(path, utc=lambda: now_s, limits=LedgerLimits(sweep_interval_s=0.05)) as ledger:
        (letter_id,) = await bury(ledger, 7)
        now_s += 2 * DAY_S
        await await_until(lambda: query(path, "SELECT count(*) FROM updates") == [(0,)])
        (row,) = await queue(ledger, 7)
        with pytest.raises(LetterError, match="update 7 of bot shop waits in the inbox already"):
            await ledger.replay([letter_id])
        ledger.processed([row.seq])
        assert len(await ledger.replay([letter_id])) == 1
        assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_a_replay_that_cannot_be_is_refused_whole_in_one_line(ledger: Ledger):
    await ledger.bury_raw(SHOP, SHOP_SOURCE, UpdateId(9), b"junk", Reason.MALFORMED, "not JSON")
    (malformed,) = await ledger.dead_letters()
    (good,) = await bury(ledger, 1)
    for letter_ids, line in (
        ([good, 999], "there is no dead letter 999"),
        ([good, malformed.letter_id], f"dead letter {malformed.letter_id} is no update"),
    ):
        with pytest.raises(LetterError, match=line) as caught:
            await ledger.replay(letter_ids)
        assert "\n" not in str(caught.value)
    assert len(await ledger.dead_letters()) == 2
    assert ledger.backlog(SHOP_SOURCE).rows == 0


async def test_dropped_letters_count_as_purged(ledger: Ledger):
    first, second, third = await bury(ledger, 1, 2, 3)
    assert await ledger.drop([first, third, third, 999]) == 2
    assert await ledger.drop([first]) == 0
    assert [letter.letter_id for letter in await ledger.dead_letters()] == [second]
    assert ledger.tally(SHOP_SOURCE) == Tally(3, 0, 0, 1, 2, 0, 0)


async def test_a_bot_keeps_its_newest_letters(path: Path):
    async with opened(path, limits=LedgerLimits(letters_per_bot=3)) as ledger:
        await ledger.bury_raw(HELP, HELP_SOURCE, None, b"junk", Reason.MALFORMED, "not JSON")
        await bury(ledger, 1, 2)
        await bury(ledger, 3, 4, 5)
        letters = await ledger.dead_letters(SHOP)
        assert [letter.update_id for letter in letters] == [5, 4, 3]
        assert ledger.tally(SHOP_SOURCE) == Tally(5, 0, 0, 3, 2, 0, 0)
        assert ledger.tally(HELP_SOURCE).dead_letters == 1
    async with opened(path, limits=LedgerLimits(letters_per_bot=3)) as ledger:
        for number in range(4):
            raw = update(number) + b"!"
            await ledger.bury_raw(SHOP, SHOP_SOURCE, None, raw, Reason.MALFORMED, "not JSON")
        assert len(await ledger.dead_letters(SHOP)) == 3
        assert ledger.tally(SHOP_SOURCE) == Tally(9, 0, 0, 3, 6, 0, 0)


async def test_letters_are_kept_for_a_week(path: Path):
    now_s = 1_700_000_000.0
    async with opened(path, utc=lambda: now_s, limits=LedgerLimits(sweep_interval_s=0.05)) as ledger:
        await bury(ledger, 1)
        now_s += DAY_S
        await bury(ledger, 2)
        now_s += 6 * DAY_S + 1
        await await_until(lambda: ledger.tally(SHOP_SOURCE).purged == 1)
        assert [letter.update_id for letter in await ledger.dead_letters()] == [2]
        assert ledger.tally(SHOP_SOURCE) == Tally(2, 0, 0, 1, 1, 0, 0)
