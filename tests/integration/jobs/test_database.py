"""The file of dead letters and outbox: shared, private, and never another program's."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from brama.errors import StateError
from jobs.engine.port import NewJob
from jobs.errors import NotOpenError
from jobs.policy.verdict import Cause
from jobs.storage.database import _APPLICATION_ID, _MIGRATIONS, Database, check_readable
from jobs.storage.dead_letters import DeadLetter, DeadLetters
from jobs.storage.outbox import Outbox
from tests.waiting import await_until

LETTER = DeadLetter("Q", "a", 3, "TYPE", Cause.ERROR, "no", "stack", {"ü": [1, None]}, 1.5, 2.5)


async def test_a_letter_is_one_row_however_often_it_is_written(tmp_path: Path):
    database = Database(tmp_path)
    letters = DeadLetters(database, lambda: 9.0)
    for _ in range(2):
        await letters.record(LETTER)
    (stored,) = await letters.latest()
    assert stored == await letters.open_letter("Q", "a", 3) == await letters.get(stored.letter_id)
    assert (stored.payload, stored.cause, stored.created_utc) == ({"ü": [1, None]}, Cause.ERROR, 1.5)
    assert await letters.open_letter("Q", "a", 2) is None
    assert await letters.record_missing([LETTER]) == 0
    assert await letters.latest(queue="other") == []
    database.close()


async def test_a_resolved_letter_opens_again_only_by_dying_again(tmp_path: Path):
    database = Database(tmp_path)
    letters = DeadLetters(database, lambda: 9.0)
    await letters.record(LETTER)
    stored = (await letters.latest())[0]
    assert await letters.resolve(stored, "seen")
    assert not await letters.resolve(stored, "seen")
    await letters.record_missing([LETTER])
    assert await letters.count_open() == 0
    (closed,) = await letters.latest(include_resolved=True)
    assert (closed.resolved_utc, closed.note) == (9.0, "seen")
    await letters.record(LETTER)
    (again,) = await letters.latest()
    assert (again.letter_id, again.resolved_utc, again.note) == (stored.letter_id, None, "")
    database.close()


async def test_what_was_read_before_a_second_death_does_not_resolve_it(tmp_path: Path):
    database = Database(tmp_path)
    letters = DeadLetters(database)
    await letters.record(LETTER)
    stored = (await letters.latest())[0]
    await letters.record(replace(LETTER, died_utc=3.5))
    assert not await letters.resolve(stored, "retried")
    assert await letters.count_open() == 1
    database.close()


async def test_several_processes_share_the_file(tmp_path: Path):
    first, second = Database(tmp_path), Database(tmp_path)
    jobs = [NewJob("Q", f"{number}", "TYPE", None, 0) for number in range(20)]
    await asyncio.gather(*(Outbox(each).append(job) for job in jobs for each in (first, second)))
    assert await Outbox(first).count() == await Outbox(second).count() == 20
    assert [job for _, job in await Outbox(first).oldest(20)] == jobs
    first.close()
    second.close()


def test_the_file_is_its_owners_alone(tmp_path: Path):
    Database(tmp_path / "new").close()
    assert (tmp_path / "new" / "jobs.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path):
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(StateError, match="another program's database"):
        Database(tmp_path)
    with pytest.raises(StateError, match="another program's database"):
        check_readable(tmp_path)
    path.write_bytes(b"no database at all, and longer than a header" * 100)
    with pytest.raises(StateError, match="not a database"):
        Database(tmp_path)
    with pytest.raises(StateError, match="not a database"):
        check_readable(tmp_path)


def test_a_newer_file_is_refused(tmp_path: Path):
    Database(tmp_path).close()
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateError, match="made by a newer brama-supervisor"):
        Database(tmp_path)
    with pytest.raises(StateError, match="made by a newer brama-supervisor"):
        check_readable(tmp_path)


def test_to_look_at_a_file_changes_nothing(tmp_path: Path):
    check_readable(tmp_path)
    assert not (tmp_path / "jobs.db").exists()
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.close()
    before = (tmp_path / "jobs.db").read_bytes()
    check_readable(tmp_path)
    assert (tmp_path / "jobs.db").read_bytes() == before


async def test_letters_of_an_older_file_are_kept_and_told_to_nobody(tmp_path: Path):
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        for statement in _MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO dead_letters VALUES (7, 'Q', 'a', 3, 'T', 'error', 'no', '', '{}', 1, 2, NULL, '')"
        )
        connection.execute(f"PRAGMA application_id = {0x42726D4A}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    database = Database(tmp_path)
    letters = DeadLetters(database)
    assert [each.letter_id for each in await letters.latest()] == [7]
    assert await letters.untold(0.0, 10) == []
    await letters.record(replace(LETTER, died_utc=3.5))
    assert [each.letter_id for each in await letters.untold(0.0, 10)] == [7]
    database.close()


def test_opening_a_present_file_writes_nothing(tmp_path: Path):
    Database(tmp_path).close()
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # nobody else can write
    Database(tmp_path).close()
    check_readable(tmp_path)
    other.close()


async def test_a_file_that_cannot_be_opened_is_tried_again_at_its_use(tmp_path: Path):
    path = tmp_path / "jobs.db"
    path.write_bytes(b"no database at all, and longer than a header" * 100)
    database = Database(tmp_path, must_open=False)
    outbox = Outbox(database)
    for _ in range(2):
        with pytest.raises(NotOpenError, match="not a database"):
            await outbox.count()
    with pytest.raises(StateError, match="not a database"):
        check_readable(tmp_path)
    path.unlink()

    async def is_open() -> bool:
        try:
            return await outbox.count() == 0
        except NotOpenError:
            return False

    await await_until(is_open, what="the file to be made anew")
    database.close()


def test_a_file_that_never_opened_can_be_let_go(tmp_path: Path):
    Database(tmp_path, must_open=False).close()
    check_readable(tmp_path)
    assert not (tmp_path / "jobs.db").exists()
