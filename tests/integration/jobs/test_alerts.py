"""Operators are told of every job that failed for good, once, whatever was down meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from brama.clock import utc_s
from jobs.alerts import BATCH, Alerts
from jobs.policy.alerting import MAX_REFUSALS
from jobs.policy.backoff import Backoff
from jobs.policy.verdict import Cause
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetter, DeadLetters
from tests.integration.jobs import handlers
from tests.integration.jobs.alert_receiver import Receiver, receiving
from tests.integration.jobs.handlers import Work
from tests.integration.jobs.processes import House, worker
from tests.ports import free_port
from tests.waiting import await_until, loop_turn

LETTER = DeadLetter("Q", "a", 3, "TYPE", Cause.ERROR, "no", "stack", {"secret": 1}, 1.5, 0.0)
SOON = Backoff(0.01, 0.02)


@pytest.fixture
def letters(tmp_path: Path):
    database = Database(tmp_path)
    yield DeadLetters(database)
    database.close()


@asynccontextmanager
async def alerting(letters: DeadLetters, url: str, token: str | None = None) -> AsyncIterator[Alerts]:
    alerts = Alerts(letters, url, token, pause_s=0.01, backoff=SOON)
    running = asyncio.create_task(alerts.run())
    try:
        yield alerts
    finally:
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()


async def bury(letters: DeadLetters, *job_ids: str, died_utc: float | None = None) -> None:
    for job_id in job_ids:
        await letters.record(replace(LETTER, job_id=job_id, died_utc=died_utc or utc_s()))


async def test_the_death_of_a_workers_job_is_told_though_the_receiver_was_down(at: House):
    port, receiver = free_port(), Receiver()
    async with alerting(at.letters, f"http://127.0.0.1:{port}/alert", token="t0ken") as alerts:
        async with worker(at):
            job_id = await at.producer.enqueue(handlers.fail, Work(journal=at.journal, text="permanent"))
            await at.wait_state("FAIL", job_id, "failed")
        await await_until(lambda: alerts.state.failures > 3)
        assert "Cannot connect to host" in (alerts.state.error or "")
        assert (alerts.state.waiting, alerts.state.told) == (1, 0)
        async with receiving(receiver, port):
            await await_until(lambda: alerts.state.told == 1)
    letter = await at.only_letter()
    ((authorization, body),) = receiver.posts
    assert authorization == "Bearer t0ken"
    assert (body["event"], body["count"]) == ("job.dead", 1)
    (told,) = body["letters"]
    assert told.pop("died_at").endswith("+00:00")
    assert told == {
        "letter_id": letter.letter_id,
        "queue": "FAIL",
        "name": "FAIL",
        "job_id": job_id,
        "cause": "permanent",
        "error": "PermanentError: never",
        "attempts": 1,
    }
    assert (alerts.state.waiting, alerts.state.error) == (0, None)


async def test_what_was_not_told_is_told_after_a_restart_and_nothing_twice(letters: DeadLetters):
    port, receiver = free_port(), Receiver()
    await bury(letters, "a")
    async with alerting(letters, f"http://127.0.0.1:{port}/alert") as alerts:
        await await_until(lambda: alerts.state.failures)
    async with receiving(receiver, port) as url:
        for job_id in ("b", "c"):
            await bury(letters, job_id)
            async with alerting(letters, url) as alerts:
                await await_until(lambda: alerts.state.told)
    first, second, third = reversed(await letters.page())
    assert receiver.letter_ids == [first.letter_id, second.letter_id, third.letter_id]


async def test_many_deaths_are_few_posts(letters: DeadLetters):
    receiver = Receiver()
    count = 2 * BATCH + 30
    await bury(letters, *(f"j{number}" for number in range(count)))
    async with receiving(receiver, free_port()) as url, alerting(letters, url) as alerts:
        await await_until(lambda: alerts.state.told == count)
    assert [len(body["letters"]) for _, body in receiver.posts] == [BATCH, BATCH, 30]
    assert [body["count"] for _, body in receiver.posts] == [count, count - BATCH, 30]


async def test_a_second_death_of_the_same_letter_is_told_too(letters: DeadLetters):
    receiver = Receiver()
    async with receiving(receiver, free_port()) as url, alerting(letters, url) as alerts:
        await bury(letters, "a")
        await await_until(lambda: alerts.state.told == 1)
        (letter,) = await letters.latest()
        await letters.resolve(letter, "retried")
        await bury(letters, "a")
        await await_until(lambda: alerts.state.told == 2)
    assert receiver.letter_ids == [letter.letter_id] * 2


async def test_a_death_while_the_last_one_is_told_is_not_taken_for_told(letters: DeadLetters):
    """The table remembers the death that was told of, not the letter."""
    await bury(letters, "a", died_utc=100.0)
    told = await letters.untold(0.0, 10)
    await bury(letters, "a", died_utc=200.0)
    await letters.mark_told(told)
    (again,) = await letters.untold(0.0, 10)
    assert again.died_utc == 200.0
    await letters.mark_told([again])
    assert await letters.untold(0.0, 10) == []


async def test_a_server_in_trouble_is_tried_on_and_a_refusal_dropped(letters: DeadLetters):
    receiver = Receiver(*[500] * (MAX_REFUSALS + 3), 429, *[400] * (MAX_REFUSALS - 1), 301)
    await bury(letters, "a", "b")
    async with receiving(receiver, free_port()) as url, alerting(letters, url) as alerts:
        await await_until(lambda: alerts.state.dropped == 2)
        assert receiver.arrived == 2 * MAX_REFUSALS + 4
        assert alerts.state.error == "jobs.alert: answered 301"
        await bury(letters, "c")
        await await_until(lambda: alerts.state.told == 1)
        assert alerts.state.error is None
    assert len(receiver.letter_ids) == 1


async def test_nobody_is_told_of_what_is_old_or_settled(letters: DeadLetters):
    receiver = Receiver()
    await bury(letters, "settled")
    await letters.resolve((await letters.latest())[0], "seen")
    await bury(letters, "old", died_utc=utc_s() - 100_000)
    await bury(letters, "fresh")
    async with receiving(receiver, free_port()) as url, alerting(letters, url) as alerts:
        await await_until(lambda: alerts.state.told)
    assert [body["letters"][0]["job_id"] for _, body in receiver.posts] == ["fresh"]


async def test_a_table_that_cannot_be_written_makes_no_storm(letters: DeadLetters, tmp_path: Path):
    """What was told is told no more, though the table cannot say so yet."""
    receiver = Receiver()
    await bury(letters, "a")
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE UPDATE OF told_died_utc ON dead_letters "
            "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        )
        async with receiving(receiver, free_port()) as url, alerting(letters, url) as alerts:
            await await_until(lambda: "disk I/O error" in (alerts.state.error or ""))
            await bury(letters, "b")
            other.execute("DROP TRIGGER full")
            await await_until(lambda: alerts.state.told == 2)
    assert [len(body["letters"]) for _, body in receiver.posts] == [1, 1]
    assert len(set(receiver.letter_ids)) == 2


async def test_a_post_under_way_at_the_end_is_not_repeated(letters: DeadLetters):
    receiver = Receiver()
    receiver.gate.clear()
    await bury(letters, "a")
    async with receiving(receiver, free_port()) as url:
        running = asyncio.create_task(Alerts(letters, url).run())
        await await_until(lambda: receiver.arrived)
        running.cancel()
        await loop_turn()
        assert not running.done()
        receiver.gate.set()
        await asyncio.wait({running})
    assert running.cancelled()
    assert await letters.untold(0.0, 10) == []
