"""State files that cannot be used are refused in one line, and left as they are."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from brama.errors import StateError
from supervisor.updates.inbox import schema
from supervisor.updates.inbox.ledger import open_ledger
from supervisor.updates.inbox.schema import MIGRATIONS, migrate, open_for_writing
from tests.integration.inbox_tools import SHOP, SHOP_SOURCE, START, candidate, opened, query, small_disk

PAGE_BYTES = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "brama.db"


async def fill(path: Path, updates: int = 2000) -> None:
    async with opened(path) as ledger:
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(number) for number in range(updates)])


def refusal(path: Path) -> str:
    """Try to open, return the one line; check that nothing under the folder has changed."""
    before = contents(path.parent)
    with pytest.raises(StateError) as caught:
        open_ledger(path)
    assert contents(path.parent) == before
    line = str(caught.value)
    assert "\n" not in line
    assert str(path.parent) in line
    return line


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(each): each.read_bytes() if each.is_file() else None
        for each in sorted(folder.rglob("*"))
        # The index of the log is made and removed by every look at the file.
        if not each.name.endswith("-shm")
    }


def test_garbage_is_refused(path: Path):
    path.write_bytes(os.urandom(20_000))
    assert "the state file is damaged (file is not a database): restore it" in refusal(path)


def test_a_text_file_is_refused(path: Path):
    path.write_text("bots: []\n" * 500)
    assert "damaged" in refusal(path)


async def test_a_damaged_header_is_refused(path: Path):
    await fill(path)
    with path.open("r+b") as stream:
        stream.write(b"\0" * 100)
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("first_page", [2, 5, 50, 130])
async def test_damaged_pages_are_refused(path: Path, first_page: int):
    await fill(path)
    assert path.stat().st_size > 150 * PAGE_BYTES
    with path.open("r+b") as stream:
        stream.seek(first_page * PAGE_BYTES)
        stream.write(os.urandom(20 * PAGE_BYTES))
    assert "damaged" in refusal(path)


async def test_a_file_cut_short_is_refused(path: Path):
    await fill(path)
    os.truncate(path, path.stat().st_size // 2)
    assert "damaged" in refusal(path)


async def copy_with_log(path: Path, target: Path) -> None:
    """Leave at ``target`` what a killed process leaves: a file and the log beside it."""
    async with opened(path) as ledger:
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1)])
        target.write_bytes(path.read_bytes())
        log = path.with_name(path.name + "-wal").read_bytes()
        target.with_name(target.name + "-wal").write_bytes(log)


@pytest.mark.parametrize("left", ["gone", "empty"])
async def test_a_log_without_its_file_is_refused(tmp_path: Path, left: str):
    (tmp_path / "second").mkdir()
    target = tmp_path / "second" / "brama.db"
    await copy_with_log(tmp_path / "brama.db", target)
    target.unlink() if left == "gone" else os.truncate(target, 0)
    assert f"the state file is {left}, yet its log brama.db-wal has updates" in refusal(target)


async def test_a_log_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / "second").mkdir()
    target = tmp_path / "second" / "brama.db"
    await copy_with_log(tmp_path / "brama.db", target)
    with target.with_name("brama.db-wal").open("r+b") as stream:
        stream.write(b"garbage!" * 8)
    assert "brama.db-wal: the state file is damaged" in refusal(target)


async def test_a_log_is_read_after_a_kill(tmp_path: Path):
    (tmp_path / "second").mkdir()
    target = tmp_path / "second" / "brama.db"
    await copy_with_log(tmp_path / "brama.db", target)
    async with opened(target) as ledger:
        (row,) = await ledger.page(SHOP_SOURCE, START, 10, 10**6)
        assert row.update_id == 1


def test_a_folder_in_place_of_the_file_is_refused(path: Path):
    path.mkdir()
    assert "is a folder, where the state file belongs" in refusal(path)


def test_a_pipe_in_place_of_the_file_is_refused(path: Path):
    os.mkfifo(path)
    assert "is no regular file" in refusal(path)


async def test_a_read_only_file_is_refused(path: Path):
    await fill(path, 1)
    path.chmod(0o444)
    assert f"the state file is read-only; make it writable: chmod 600 {path}" in refusal(path)
    assert path.stat().st_mode & 0o777 == 0o444


@pytest.fixture
def locked_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o555)
    yield folder
    folder.chmod(0o755)


def test_a_read_only_folder_is_refused(locked_folder: Path):
    assert "the state folder is read-only" in refusal(locked_folder / "brama.db")


def test_a_read_only_file_system_is_refused(tmp_path: Path):
    with small_disk(tmp_path / "disk", "ro") as folder:
        assert "the state folder is read-only" in refusal(folder / "brama.db")


def test_a_file_where_the_folder_belongs_is_refused(tmp_path: Path):
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="cannot be used as the state file: File exists"):
        open_ledger(tmp_path / "state" / "brama.db")


async def test_a_missing_folder_is_made(tmp_path: Path):
    path = tmp_path / "new" / "state" / "brama.db"
    await fill(path, 1)
    assert path.exists()


def test_another_programs_database_is_refused(path: Path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")
        connection.commit()
    path.chmod(0o600)
    assert "is another program's database" in refusal(path)


def test_a_file_that_another_process_holds_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "_BUSY_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateError, match="another process holds the state file"):
            open_ledger(path)


# --- versions -------------------------------------------------------------------------------------


async def test_a_newer_file_is_refused(path: Path):
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.execute("UPDATE memory SET value = ? WHERE key = 'schema/oldest_reader'", (b"2",))
        connection.commit()
    assert "made by a newer brama-supervisor" in refusal(path)


async def test_an_older_file_is_brought_up_to_date(path: Path):
    await fill(path, 3)
    newer = (*MIGRATIONS, ("ALTER TABLE sources ADD COLUMN note TEXT", "UPDATE sources SET note = 'x'"))
    with closing(open_for_writing(path, "full")) as connection:
        migrate(connection, path, newer, len(newer))
        migrate(connection, path, newer, len(newer))
    assert query(path, "PRAGMA user_version") == [(len(newer),)]
    assert query(path, "SELECT note FROM sources") == [("x",)]
    assert query(path, "SELECT count(*) FROM waiting") == [(3,)]
    assert f"has schema {len(newer)}" in refusal(path)


async def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path):
    await fill(path, 3)
    broken = (*MIGRATIONS, ("ALTER TABLE sources ADD COLUMN note TEXT", "no SQL"))
    with closing(open_for_writing(path, "full")) as connection, pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, broken)
    async with opened(path) as ledger:
        assert ledger.backlog(SHOP_SOURCE).rows == 3


async def test_a_large_file_is_opened_with_its_small_tables_checked(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    await fill(path, 10)
    monkeypatch.setattr(schema, "CHECKED_WHOLE_BYTES", 0)
    async with opened(path) as ledger:
        assert ledger.backlog(SHOP_SOURCE).rows == 10
