"""The inbox on a real file: what comes in, what becomes of it, and what is left after a reopen."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brama.ids import Seq, UpdateId
from supervisor.updates.inbox.housekeeping import LedgerLimits
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.model import Backlog, CommitFailedError, Reason, Tally, Verdict
from tests.integration.inbox_tools import (
    HELP,
    HELP_SOURCE,
    SHOP,
    SHOP_SOURCE,
    START,
    assert_balanced,
    bytes_on_disk,
    candidate,
    opened,
    query,
    rows_of,
    update,
)
from tests.waiting import await_until

DAY_S = 24 * 3600.0
NOTHING = Tally(0, 0, 0, 0, 0, 0, 0)


class WallClock:
    """A clock of days that a test turns on."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "brama.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    async with opened(path) as ledger:
        yield ledger


# --- what comes in --------------------------------------------------------------------------------


async def test_a_batch_is_queued_in_order(ledger: Ledger):
    accepted = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in (7, 8, 9)])
    assert [each.verdict for each in accepted] == [Verdict.QUEUED] * 3
    rows = rows_of(accepted)
    assert [row.update_id for row in rows] == [7, 8, 9]
    assert [row.seq for row in rows] == sorted({row.seq for row in rows})
    assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == rows
    size = sum(len(row.raw) for row in rows)
    assert ledger.backlog(SHOP_SOURCE) == Backlog(3, size)
    assert ledger.tally(SHOP_SOURCE) == Tally(3, 0, 0, 0, 0, 3, 0)


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 1000, 2500])
async def test_a_batch_may_have_any_size(ledger: Ledger, count: int):
    accepted = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in range(count)])
    assert [row.update_id for row in rows_of(accepted)] == list(range(count))
    assert await ledger.page(SHOP_SOURCE, START, 5000, 10**9) == rows_of(accepted)


async def test_an_empty_batch_is_nothing(ledger: Ledger):
    assert await ledger.accept(SHOP, SHOP_SOURCE, []) == ()
    assert ledger.tally(SHOP_SOURCE) == NOTHING


async def test_an_update_is_queued_once(ledger: Ledger):
    first = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7), candidate(7), candidate(8)])
    assert [each.verdict for each in first] == [Verdict.QUEUED, Verdict.KNOWN, Verdict.QUEUED]
    again = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(8), candidate(9), candidate(7)])
    assert [each.verdict for each in again] == [Verdict.KNOWN, Verdict.QUEUED, Verdict.KNOWN]
    assert [each.row is None for each in again] == [True, False, True]
    assert ledger.tally(SHOP_SOURCE) == Tally(3, 0, 0, 0, 0, 3, repeated=3)


async def test_of_equal_updates_under_way_one_is_queued(ledger: Ledger):
    batches = await asyncio.gather(
        *(ledger.accept(SHOP, SHOP_SOURCE, [candidate(number % 10)]) for number in range(200))
    )
    verdicts = [accepted.verdict for batch in batches for accepted in batch]
    assert verdicts.count(Verdict.QUEUED) == 10
    assert verdicts.count(Verdict.KNOWN) == 190
    assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_bots_and_servers_have_ids_of_their_own(ledger: Ledger):
    elsewhere = type(SHOP_SOURCE)(SHOP_SOURCE.telegram_id, "http://127.0.0.1:9")
    for source in (SHOP_SOURCE, HELP_SOURCE, elsewhere):
        (accepted,) = await ledger.accept(SHOP, source, [candidate(7)])
        assert accepted.verdict is Verdict.QUEUED
        assert await ledger.page(source, START, 10, 10**6) == [accepted.row]
    assert set(ledger.tallies()) == {SHOP_SOURCE, HELP_SOURCE, elsewhere}


async def test_a_label_is_no_part_of_an_updates_identity(ledger: Ledger):
    await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
    (accepted,) = await ledger.accept(HELP, SHOP_SOURCE, [candidate(7)])
    assert accepted.verdict is Verdict.KNOWN


async def test_a_dropped_duplicate_is_remembered_and_never_queued(ledger: Ledger, path: Path):
    (accepted,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7, duplicate=True)])
    assert (accepted.verdict, accepted.row) == (Verdict.DROPPED, None)
    (again,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
    assert again.verdict is Verdict.KNOWN
    assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == []
    assert ledger.tally(SHOP_SOURCE) == Tally(1, 0, 1, 0, 0, 0, 1)
    assert query(path, "SELECT count(*) FROM waiting") == [(0,)]


async def test_an_update_id_has_the_whole_range(ledger: Ledger):
    accepted = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(0), candidate(2**63 - 1)])
    assert [row.update_id for row in rows_of(accepted)] == [0, 2**63 - 1]


async def test_what_no_file_could_take_harms_nothing_else(ledger: Ledger):
    good, bad, other = await asyncio.gather(
        ledger.accept(SHOP, SHOP_SOURCE, [candidate(1)]),
        ledger.accept(SHOP, SHOP_SOURCE, [candidate(2), candidate(2**63, raw=b"{}")]),
        ledger.accept(HELP, HELP_SOURCE, [candidate(1)]),
        return_exceptions=True,
    )
    assert isinstance(bad, CommitFailedError)
    assert not isinstance(good, BaseException)
    assert not isinstance(other, BaseException)
    assert ledger.tally(SHOP_SOURCE).committed == 1
    assert ledger.stalled is None


async def test_a_note_that_no_file_could_take_holds_nothing_up(ledger: Ledger):
    first, second = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1), candidate(2)]))
    ledger.processed([first.seq])
    ledger.attempt(second.seq, 2**70)
    ledger.charge(second.seq, 1)
    await ledger.settle()
    (found,) = await ledger.page(SHOP_SOURCE, START, 10, 10**6)
    assert (found.seq, found.attempts, found.charges) == (second.seq, 0, 1)
    assert ledger.stalled is None


async def test_batches_are_announced_in_the_order_of_their_rows(ledger: Ledger):
    seqs: list[int] = []
    futures = [
        ledger.begin_accept(
            SHOP,
            source,
            [candidate(number)],
            lambda accepted: seqs.extend(row.seq for row in rows_of(accepted)),
        )
        for number in range(300)
        for source in (SHOP_SOURCE, HELP_SOURCE)
    ]
    await asyncio.gather(*futures)
    assert len(seqs) == 600
    assert seqs == sorted(seqs)


async def test_a_batch_whose_caller_has_gone_is_announced_all_the_same(ledger: Ledger):
    told: list[object] = []
    future = ledger.begin_accept(SHOP, SHOP_SOURCE, [candidate(1)], told.append)
    future.cancel()
    await ledger.settle()
    assert len(told) == 1
    assert ledger.backlog(SHOP_SOURCE).rows == 1


async def test_an_announcement_that_fails_harms_nobody(ledger: Ledger):
    def fail(_: object) -> None:
        raise ZeroDivisionError

    first = ledger.begin_accept(SHOP, SHOP_SOURCE, [candidate(1)], fail)
    second = ledger.begin_accept(SHOP, SHOP_SOURCE, [candidate(2)])
    assert len(rows_of(await first)) == len(rows_of(await second)) == 1


# --- pages ----------------------------------------------------------------------------------------


async def test_pages_follow_each_other(ledger: Ledger):
    rows = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in range(10)]))
    await ledger.accept(HELP, HELP_SOURCE, [candidate(99)])
    found, after = [], START
    while page := await ledger.page(SHOP_SOURCE, after, 3, 10**6):
        assert len(page) <= 3
        found += page
        after = page[-1].seq
    assert found == rows


async def test_a_page_is_bounded_in_bytes_and_has_one_row_at_least(ledger: Ledger):
    sizes = [100, 100, 5000, 100]
    await ledger.accept(
        SHOP, SHOP_SOURCE, [candidate(number, raw=b"x" * size) for number, size in enumerate(sizes)]
    )
    pages, after = [], START
    while page := await ledger.page(SHOP_SOURCE, after, 10, 250):
        pages.append([len(row.raw) for row in page])
        after = page[-1].seq
    assert pages == [[100, 100], [5000], [100]]


async def test_a_page_that_cannot_be_read_says_so(ledger: Ledger, path: Path):
    await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1)])
    query(path, "DROP TABLE waiting")
    with pytest.raises(CommitFailedError, match="no such table"):
        await ledger.page(SHOP_SOURCE, START, 10, 10**6)


async def test_a_page_of_an_unknown_bot_is_empty(ledger: Ledger):
    assert await ledger.page(HELP_SOURCE, START, 10, 10**6) == []


# --- what becomes of it ---------------------------------------------------------------------------


async def test_a_processed_update_is_remembered_without_its_body(ledger: Ledger, path: Path):
    rows = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7), candidate(8)]))
    ledger.processed([rows[0].seq])
    await ledger.settle()
    assert ledger.tally(SHOP_SOURCE) == Tally(2, 1, 0, 0, 0, 1, 0)
    assert ledger.backlog(SHOP_SOURCE) == Backlog(1, len(rows[1].raw))
    assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == [rows[1]]
    assert query(path, "SELECT update_id FROM waiting") == [(8,)]
    (again,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
    assert again.verdict is Verdict.KNOWN


async def test_processing_twice_or_what_is_not_there_changes_nothing(ledger: Ledger):
    (row,) = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)]))
    ledger.processed([row.seq, row.seq, Seq(row.seq + 50)])
    ledger.processed([row.seq])
    ledger.processed([])
    ledger.bury(row.seq, Reason.POISON, "", "", "")
    await ledger.settle()
    assert ledger.tally(SHOP_SOURCE) == Tally(1, 1, 0, 0, 0, 0, 0)
    assert await ledger.dead_letters() == []


async def test_no_text_of_a_processed_update_stays_on_the_disk(path: Path):
    limits = LedgerLimits(clear_after_s=0.0)
    async with opened(path, limits=limits) as ledger:
        secret = b"word of a private talk"
        raws = [update(number).replace(b"hi", secret * (1 + number % 300)) for number in range(500)]
        accepted = await ledger.accept(
            SHOP, SHOP_SOURCE, [candidate(number, raw=raw) for number, raw in enumerate(raws)]
        )
        assert secret in bytes_on_disk(path)
        rows = rows_of(accepted)
        for row in rows[::2] + rows[1::2]:
            ledger.processed([row.seq])
        await ledger.settle()
        await await_until(lambda: secret not in bytes_on_disk(path), what="the log is cleared")
        assert ledger.tally(SHOP_SOURCE).processed == 500


async def test_attempts_and_charges_outlive_the_process(path: Path):
    async with opened(path) as ledger:
        (row,) = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)]))
        ledger.attempt(row.seq, 1)
        ledger.attempt(row.seq, 2)
        ledger.charge(row.seq, 1)
    async with opened(path) as ledger:
        (found,) = await ledger.page(SHOP_SOURCE, START, 10, 10**6)
        assert (found.attempts, found.charges) == (2, 1)


async def test_a_reopened_inbox_is_the_same(path: Path):
    async with opened(path) as ledger:
        rows = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in range(10)]))
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(3), candidate(20, duplicate=True)])
        ledger.processed([row.seq for row in rows[:4]])
        ledger.bury(rows[4].seq, Reason.POISON, "", "", "")
        await ledger.settle()
        before = ledger.tallies(), ledger.backlog(SHOP_SOURCE)
    async with opened(path) as ledger:
        assert (ledger.tallies(), ledger.backlog(SHOP_SOURCE)) == before
        assert_balanced(ledger.tally(SHOP_SOURCE))
        assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == rows[5:]
        (fresh,) = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(50)]))
        assert fresh.seq > rows[-1].seq


async def test_row_numbers_are_never_used_again(path: Path):
    clock = WallClock()
    limits = LedgerLimits(sweep_interval_s=0.05)
    async with opened(path, utc=clock, limits=limits) as ledger:
        (row,) = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)]))
        ledger.processed([row.seq])
        await ledger.settle()
        clock.now_s += 2 * DAY_S
        await await_until(lambda: query(path, "SELECT count(*) FROM updates") == [(0,)])
    async with opened(path) as ledger:
        (fresh,) = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)]))
        assert fresh.seq > row.seq


async def test_everything_noted_before_the_end_is_written(path: Path):
    async with opened(path, durability="full") as ledger:
        rows = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in range(2000)]))
        for row in rows:
            ledger.processed([row.seq])
    async with opened(path) as ledger:
        assert ledger.tally(SHOP_SOURCE).processed == 2000


async def test_a_closed_inbox_refuses(path: Path):
    async with opened(path) as ledger:
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
        await ledger.close()
        with pytest.raises(CommitFailedError, match="closed"):
            await ledger.accept(SHOP, SHOP_SOURCE, [candidate(8)])
        with pytest.raises(CommitFailedError, match="closed"):
            await ledger.page(SHOP_SOURCE, START, 1, 1)
        with pytest.raises(CommitFailedError, match="closed"):
            await ledger.dead_letters()
        with pytest.raises(CommitFailedError, match="closed"):
            await ledger.dead_letter(1)
        ledger.processed([Seq(1)])


async def test_an_inbox_that_nobody_used_can_be_closed(path: Path):
    async with opened(path):
        pass
    assert not path.with_name("brama.db-wal").exists()


async def test_only_the_owner_may_read_the_files(path: Path):
    path.touch(mode=0o644)
    async with opened(path) as ledger:
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(7)])
        files = list(path.parent.iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


# --- memory ---------------------------------------------------------------------------------------


async def test_small_things_are_remembered(path: Path):
    async with opened(path) as ledger:
        await ledger.remember("wanted/shop", b"1")
        await ledger.remember("wanted/help", b"\0")
        await ledger.remember("wanted/shop", b"2")
        await ledger.remember("process/5", b"x")
        await ledger.forget("process/5")
        await ledger.forget("process/6")
        assert ledger.recall("wanted/") == {"wanted/shop": b"2", "wanted/help": b"\0"}
    async with opened(path) as ledger:
        assert ledger.recall("") == {"wanted/shop": b"2", "wanted/help": b"\0"}
        assert ledger.recall("process/") == {}


# --- forgetting -----------------------------------------------------------------------------------


async def test_ids_are_remembered_for_a_day_and_waiting_rows_for_ever(path: Path):
    clock = WallClock()
    async with opened(path, utc=clock, limits=LedgerLimits(sweep_interval_s=0.05)) as ledger:
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(9, duplicate=True)])
        clock.now_s += 10
        kept, done, dead = rows_of(
            await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1), candidate(2), candidate(3)])
        )
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(4, duplicate=True)])
        await ledger.bury_raw(SHOP, SHOP_SOURCE, None, b"junk", Reason.MALFORMED, "not JSON")
        ledger.processed([done.seq])
        ledger.bury(dead.seq, Reason.POISON, "", "", "")
        await ledger.settle()
        clock.now_s += DAY_S - 1
        await await_until(lambda: query(path, "SELECT 1 FROM updates WHERE update_id = 9") == [])
        known = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in (1, 2, 3, 4)])
        assert {each.verdict for each in known} == {Verdict.KNOWN}
        clock.now_s += 2
        await await_until(lambda: query(path, "SELECT update_id FROM updates") == [(1,)])
        await await_until(lambda: query(path, "SELECT count(*) FROM nameless") == [(0,)])
        again = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in (1, 2, 3, 4)])
        assert [each.verdict for each in again] == [Verdict.KNOWN] + [Verdict.QUEUED] * 3
        assert await ledger.page(SHOP_SOURCE, START, 1, 10**6) == [kept]
        assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_more_than_one_step_is_swept(path: Path):
    clock = WallClock()
    async with opened(path, utc=clock, limits=LedgerLimits(sweep_interval_s=0.05)) as ledger:
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number, duplicate=True) for number in range(3500)])
        clock.now_s += 2 * DAY_S
        await await_until(lambda: query(path, "SELECT count(*) FROM updates") == [(0,)])


async def test_a_day_counts_from_the_end_not_from_the_arrival(path: Path):
    clock = WallClock()
    async with opened(path, utc=clock, limits=LedgerLimits(sweep_interval_s=0.05)) as ledger:
        (row,) = rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1)]))
        clock.now_s += 3 * DAY_S
        ledger.processed([row.seq])
        await ledger.settle()
        (again,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1)])
        assert again.verdict is Verdict.KNOWN


async def test_an_update_id_known_as_malformed_is_known(ledger: Ledger):
    assert await ledger.bury_raw(SHOP, SHOP_SOURCE, UpdateId(5), b"junk", Reason.MALFORMED, "not JSON")
    (accepted,) = await ledger.accept(SHOP, SHOP_SOURCE, [candidate(5)])
    assert accepted.verdict is Verdict.KNOWN
    assert ledger.tally(SHOP_SOURCE) == Tally(1, 0, 0, 1, 0, 0, 1)
