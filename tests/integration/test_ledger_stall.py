"""While commits fail, nothing is confirmed and nothing noted is lost; it all goes on by itself."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from brama.clock import monotonic_s
from supervisor.updates.inbox import schema
from supervisor.updates.inbox.housekeeping import LedgerLimits
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.inbox.presence import LOOK_EVERY_S, replaced
from supervisor.updates.inbox.stall import FIRST_WAIT_S, LONGEST_WAIT_S, wait_s
from supervisor.updates.inbox.writer import Writer
from supervisor.updates.model import CommitFailedError, Reason, Row, Verdict
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
    small_disk,
)
from tests.waiting import await_until

BATCH = [candidate(number) for number in range(100, 200)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


class Ballast:
    """Takes up all that is free on a disk."""

    def __init__(self, disk: Path, leave_bytes: int = 0) -> None:
        self._file = disk / "ballast"
        with self._file.open("wb", buffering=0) as stream:
            for size in (64 * 1024, 4096, 1):
                try:
                    while stream.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue
        os.truncate(self._file, self._file.stat().st_size - leave_bytes)

    def remove(self) -> None:
        self._file.unlink()


async def queue(ledger: Ledger, count: int) -> list[Row]:
    return rows_of(await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in range(count)]))


async def test_on_a_full_disk_batches_are_refused_and_ends_are_kept(disk: Path):
    path = disk / "brama.db"
    told: list[str | None] = []
    async with opened(path, durability="full") as ledger:
        ledger.on_stall(told.append)
        rows = await queue(ledger, 20)
        ballast = Ballast(disk)
        ledger.processed([row.seq for row in rows[:5]])
        await await_until(lambda: ledger.stalled is not None)
        assert ledger.stalled == f"{path}: the disk is full; make room on it"
        assert ledger.can_work(), "another process would find the same disk"
        for _ in range(3):
            with pytest.raises(CommitFailedError, match="the disk is full"):
                await ledger.accept(SHOP, SHOP_SOURCE, BATCH)
        ledger.processed([row.seq for row in rows[5:10]])
        assert ledger.tally(SHOP_SOURCE).processed == 0
        assert ledger.tally(SHOP_SOURCE).committed == 20
        # What has ended is not handed out again, though the file does not know it yet.
        assert await ledger.page(SHOP_SOURCE, START, 5, 10**6) == rows[10:15]
        assert told == [ledger.stalled]
        ballast.remove()
        await ledger.settle()
        assert ledger.tally(SHOP_SOURCE).processed == 10
        await await_until(lambda: ledger.stalled is None)
        await await_until(lambda: told == [told[0], None])
        accepted = await ledger.accept(SHOP, SHOP_SOURCE, BATCH)
        assert {each.verdict for each in accepted} == {Verdict.QUEUED}
        assert_balanced(ledger.tally(SHOP_SOURCE))
    async with opened(path) as ledger:
        assert ledger.tally(SHOP_SOURCE).processed == 10
        assert ledger.tally(SHOP_SOURCE).waiting == 110
        assert_balanced(ledger.tally(SHOP_SOURCE))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_without_its_writer_it_cannot_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    async with opened(tmp_path / "brama.db") as ledger:
        assert ledger.can_work(), "it has nothing to write yet"
        rows = await queue(ledger, 1)
        assert ledger.can_work()
        monkeypatch.setattr(Writer, "_turn", break_down)
        ledger.processed([rows[0].seq])
        await await_until(lambda: not ledger.can_work())
    assert ledger.can_work(), "a file that was closed needs no writer"


async def test_everything_noted_on_a_full_disk_is_written_when_there_is_room(disk: Path):
    path = disk / "brama.db"
    async with opened(path) as ledger:
        rows = await queue(ledger, 10)
        ballast = Ballast(disk)
        ledger.attempt(rows[0].seq, 1)
        ledger.attempt(rows[0].seq, 2)
        ledger.charge(rows[1].seq, 1)
        ledger.bury(rows[2].seq, Reason.POISON, "first", "", "")
        ledger.bury(rows[2].seq, Reason.POISON, "second", "", "")
        for row in rows[3:]:
            ledger.processed([row.seq])
        remembering = asyncio.create_task(ledger.remember("wanted/shop", b"1"))
        settling = asyncio.create_task(ledger.settle())
        await await_until(lambda: ledger.stalled is not None)
        assert ledger.recall("wanted/") == {"wanted/shop": b"1"}
        assert not remembering.done()
        assert not settling.done()
        ballast.remove()
        await settling
        assert remembering.done()
    async with opened(path) as ledger:
        first, second = await ledger.page(SHOP_SOURCE, START, 10, 10**6)
        assert (first.attempts, second.charges) == (2, 1)
        assert [letter.error for letter in await ledger.dead_letters()] == ["first"]
        assert ledger.tally(SHOP_SOURCE).processed == 7
        assert ledger.recall("") == {"wanted/shop": b"1"}
        assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_a_little_room_lets_ends_through_and_no_batch(disk: Path):
    async with opened(disk / "brama.db") as ledger:
        rows = await queue(ledger, 10)
        ballast = Ballast(disk, leave_bytes=60 * 1024)
        large = [candidate(number, raw=b"x" * 1000) for number in range(100, 300)]
        with pytest.raises(CommitFailedError, match="the disk is full"):
            await ledger.accept(SHOP, SHOP_SOURCE, large)
        ledger.processed([row.seq for row in rows])
        await ledger.settle()
        assert ledger.tally(SHOP_SOURCE).processed == 10
        assert ledger.stalled is not None
        ballast.remove()
        await await_until(lambda: ledger.stalled is None)
        assert len(rows_of(await ledger.accept(SHOP, SHOP_SOURCE, large))) == 200


async def test_however_much_was_noted_is_written(disk: Path):
    async with opened(disk / "brama.db") as ledger:
        rows = await queue(ledger, 700)
        ballast = Ballast(disk)
        for row in rows:
            ledger.processed([row.seq])
        await await_until(lambda: ledger.stalled is not None)
        ballast.remove()
        await ledger.settle()
        assert ledger.tally(SHOP_SOURCE).processed == 700


async def test_what_cannot_be_written_before_the_end_is_delivered_again(disk: Path):
    path = disk / "brama.db"
    async with opened(path) as ledger:
        rows = await queue(ledger, 10)
        ballast = Ballast(disk)
        ledger.processed([row.seq for row in rows])
        remembering = asyncio.create_task(ledger.remember("wanted/shop", b"1"))
        await await_until(lambda: ledger.stalled is not None)
        await ledger.close()
        with pytest.raises(CommitFailedError, match="the disk is full"):
            await remembering
    ballast.remove()
    async with opened(path) as ledger:
        assert await ledger.page(SHOP_SOURCE, START, 20, 10**6) == rows


async def test_one_update_that_does_not_fit_stops_nobody(disk: Path):
    async with opened(disk / "brama.db") as ledger:
        await queue(ledger, 1)
        huge, small, other = await asyncio.gather(
            ledger.accept(SHOP, SHOP_SOURCE, [candidate(50, raw=b"x" * 5_000_000)]),
            ledger.accept(SHOP, SHOP_SOURCE, [candidate(51)]),
            ledger.accept(HELP, HELP_SOURCE, [candidate(50)]),
            return_exceptions=True,
        )
        assert isinstance(huge, CommitFailedError)
        assert not isinstance(small, BaseException)
        assert not isinstance(other, BaseException)
        assert ledger.stalled is None
        assert ledger.tally(SHOP_SOURCE).committed == 2


async def test_of_what_was_refused_there_is_no_trace(disk: Path):
    path = disk / "brama.db"
    async with opened(path) as ledger:
        await queue(ledger, 3)
        ballast = Ballast(disk)
        for _ in range(5):
            with pytest.raises(CommitFailedError):
                await ledger.accept(HELP, HELP_SOURCE, BATCH)
        ballast.remove()
        await await_until(lambda: ledger.stalled is None)
        assert query(path, "SELECT telegram_id FROM sources") == [(SHOP_SOURCE.telegram_id,)]
        accepted = await ledger.accept(HELP, HELP_SOURCE, BATCH)
        assert [row.update_id for row in rows_of(accepted)] == list(range(100, 200))


async def test_a_lock_of_another_process_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "_BUSY_S", 0.05)
    path = tmp_path / "brama.db"
    told: list[str | None] = []
    async with opened(path) as ledger:
        ledger.on_stall(told.append)
        (row,) = await queue(ledger, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(CommitFailedError, match="another process holds the state file"):
                await ledger.accept(SHOP, SHOP_SOURCE, BATCH)
            ledger.processed([row.seq])
            await await_until(lambda: told == [f"{path}: another process holds the state file"])
        await ledger.settle()
        await await_until(lambda: told[1:] == [None])
        assert ledger.stalled is None
        assert ledger.tally(SHOP_SOURCE).processed == 1


async def test_a_sweep_in_the_way_of_another_process_is_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "_BUSY_S", 0.05)
    path = tmp_path / "brama.db"
    now_s, looks = 1_700_000_000.0, 0

    def utc() -> float:
        nonlocal looks
        looks += 1
        return now_s

    limits = LedgerLimits(sweep_interval_s=0.05, clear_after_s=0.05)
    async with opened(path, utc=utc, limits=limits) as ledger:
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1, duplicate=True)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            now_s += 2 * 24 * 3600
            seen = looks
            await await_until(lambda: looks > seen + 3)
            assert query(path, "SELECT count(*) FROM updates") == [(1,)]
            assert ledger.stalled is None
        await await_until(lambda: query(path, "SELECT count(*) FROM updates") == [(0,)])


async def test_a_reader_in_another_process_keeps_the_log_and_holds_nothing_up(tmp_path: Path):
    path = tmp_path / "brama.db"
    log = path.with_name("brama.db-wal")
    async with opened(path, limits=LedgerLimits(clear_after_s=0.05)) as ledger:
        await queue(ledger, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM updates").fetchall()
            for number in range(1, 20):
                await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number)])
            assert log.stat().st_size > 0
        await await_until(lambda: log.stat().st_size == 0, what="the log is emptied")
        assert ledger.backlog(SHOP_SOURCE).rows == 20


@pytest.mark.parametrize("name", ["brama.db", "brama.db-wal"])
async def test_a_file_moved_away_stops_intake_until_the_same_file_is_back(tmp_path: Path, name: str):
    path = tmp_path / "brama.db"
    file, away = tmp_path / name, tmp_path / "away"
    now_s = 0.0
    async with opened(path, monotonic=lambda: now_s + monotonic_s()) as ledger:
        rows = await queue(ledger, 3)
        file.rename(away)
        now_s += LOOK_EVERY_S
        with pytest.raises(CommitFailedError, match=f"{name}: was removed or replaced while in use"):
            await ledger.accept(SHOP, SHOP_SOURCE, BATCH)
        await await_until(lambda: ledger.stalled is not None)
        assert ledger.stalled == replaced(file)
        ledger.processed([rows[0].seq])
        # Another file in its place, even with the same bytes, is not where the commits go.
        file.write_bytes(away.read_bytes())
        now_s += LONGEST_WAIT_S
        with pytest.raises(CommitFailedError, match="was removed or replaced"):
            await ledger.accept(SHOP, SHOP_SOURCE, BATCH)
        assert ledger.tally(SHOP_SOURCE).processed == 0
        assert await ledger.page(SHOP_SOURCE, START, 10, 10**6) == rows[1:]
        away.replace(file)
        await ledger.settle()
        await await_until(lambda: ledger.stalled is None)
        accepted = await ledger.accept(SHOP, SHOP_SOURCE, BATCH)
        assert {each.verdict for each in accepted} == {Verdict.QUEUED}
    async with opened(path) as ledger:
        assert ledger.tally(SHOP_SOURCE).processed == 1
        assert ledger.tally(SHOP_SOURCE).waiting == 102
        assert_balanced(ledger.tally(SHOP_SOURCE))


async def test_a_file_removed_while_nothing_comes_in_is_noticed(tmp_path: Path):
    path = tmp_path / "brama.db"
    told: list[str | None] = []
    async with opened(path) as ledger:
        ledger.on_stall(told.append)
        await queue(ledger, 1)
        for file in tmp_path.iterdir():
            file.unlink()
        await await_until(lambda: told == [replaced(path)])
    assert list(tmp_path.iterdir()) == []


def test_waits_grow_to_a_limit():
    waits = [wait_s(failures) for failures in range(100)]
    assert waits[0] == FIRST_WAIT_S
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S
