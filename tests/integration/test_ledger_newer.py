"""A state file that a newer program wrote: the one before comes back on it, or is told that it cannot."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from brama.errors import StateError
from supervisor.updates.inbox.schema import (
    MIGRATIONS,
    OLDEST_READER,
    check_readable,
    migrate,
    open_for_writing,
)
from tests.integration.inbox_tools import SHOP, SHOP_SOURCE, candidate, opened, query

NEWER = (*MIGRATIONS, ("ALTER TABLE waiting ADD COLUMN note TEXT NOT NULL DEFAULT ''",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "brama.db"


@pytest.fixture
def newer(path: Path) -> Path:
    """A file of a newer program, which says that ours can work on it."""
    with closing(open_for_writing(path, "normal")) as connection:
        migrate(connection, path, NEWER, OLDEST_READER)
    return path


@pytest.fixture
def held(path: Path) -> Iterator[Path]:
    """A file that another process, or connection, has open."""
    with closing(open_for_writing(path, "normal")):
        yield path


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return all files but SQLite's index of the log, which readers write to as well."""
    return {
        each.name: (each.read_bytes(), each.stat().st_mtime_ns)
        for each in folder.iterdir()
        if not each.name.endswith("-shm")
    }


async def test_it_is_worked_on_and_its_schema_is_left_as_it_is(newer: Path):
    async with opened(newer) as ledger:
        check_readable(newer)
        await ledger.accept(SHOP, SHOP_SOURCE, [candidate(1)])
        [row] = await ledger.page(SHOP_SOURCE, 0, 10, 10_000)  # type: ignore[arg-type]
        ledger.processed([row.seq])
        await ledger.settle()
        assert ledger.tally(SHOP_SOURCE).processed == 1
    assert query(newer, "PRAGMA user_version") == [(len(NEWER),)]
    assert query(newer, "SELECT count(*) FROM pragma_table_info('waiting') WHERE name = 'note'") == [(1,)]


def test_a_file_that_ours_cannot_work_on_is_refused_either_way(path: Path):
    with closing(open_for_writing(path, "normal")) as connection:
        migrate(connection, path, NEWER, len(NEWER))
        for refused in (lambda: open_for_writing(path, "normal"), lambda: check_readable(path)):
            before = contents(path.parent)
            with pytest.raises(StateError, match=f"has schema {len(NEWER)}, made by a newer") as caught:
                refused()
            assert "\n" not in str(caught.value)
            assert contents(path.parent) == before


def test_a_file_that_says_nothing_is_not_worked_on(newer: Path):
    with closing(open_for_writing(newer, "normal")) as connection:
        connection.execute("DELETE FROM memory")
        with pytest.raises(StateError, match="made by a newer brama-supervisor"):
            check_readable(newer)


def test_looking_changes_nothing(held: Path):
    before = contents(held.parent)
    check_readable(held)
    assert contents(held.parent) == before


def test_looking_waits_for_nobody_who_writes(held: Path):
    with closing(open_for_writing(held, "normal")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        check_readable(held)


def test_looking_at_what_is_no_state_file(tmp_path: Path):
    missing = tmp_path / "missing.db"
    with pytest.raises(StateError, match=r"missing\.db"):
        check_readable(missing)
    assert os.listdir(tmp_path) == []
    nonsense = tmp_path / "nonsense.db"
    nonsense.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StateError, match=r"nonsense\.db"):
        check_readable(nonsense)
