"""Jobs that were accepted while the server could not take them, in order.

Runs in: wherever jobs are enqueued.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from sqlite3 import Connection

import msgspec

from jobs.engine.port import NewJob
from jobs.storage.database import Database


class Outbox:
    """The outbox of one state directory, shared by its processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, job: NewJob) -> None:
        """Keep ``job``, synced to disk; one whose queue and id are there already is the same job.

        Raises:
            StateError: it cannot be kept.
        """
        text = json.dumps(asdict(job))

        def work(connection: Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO outbox (queue, job_id, job) VALUES (?, ?, ?)",
                (job.queue, job.job_id, text),
            )

        await self._database.run(work)

    async def oldest(self, count: int) -> list[tuple[int, NewJob]]:
        """Return the ``count`` oldest jobs, each with its number here."""

        def work(connection: Connection) -> list[tuple[int, NewJob]]:
            rows = connection.execute("SELECT seq, job FROM outbox ORDER BY seq LIMIT ?", (count,))
            return [(row["seq"], _job(row["job"])) for row in rows]

        return await self._database.run(work)

    async def find(self, queue: str, job_id: str) -> NewJob | None:
        """Return the job if it waits here."""

        def work(connection: Connection) -> NewJob | None:
            statement = "SELECT job FROM outbox WHERE queue = ? AND job_id = ?"
            row = connection.execute(statement, (queue, job_id)).fetchone()
            return None if row is None else _job(row["job"])

        return await self._database.run(work)

    async def forget(self, numbers: Iterable[int]) -> None:
        """Remove the jobs with these numbers: the server has them."""
        rows = [(number,) for number in numbers]

        def work(connection: Connection) -> None:
            connection.executemany("DELETE FROM outbox WHERE seq = ?", rows)

        await self._database.run(work)

    async def count(self) -> int:
        """Return how many jobs wait here."""

        def work(connection: Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM outbox").fetchone()[0])

        return await self._database.run(work)

    async def count_by_queue(self) -> dict[str, int]:
        """Return how many jobs of each queue wait here, of those that any does."""
        statement = "SELECT queue, count(*) FROM outbox GROUP BY queue"
        return await self._database.run(
            lambda connection: {row[0]: row[1] for row in connection.execute(statement)}
        )


def _job(text: str) -> NewJob:
    """Return a job that was kept, by this version or a newer one, whose other fields are left out."""
    return msgspec.convert(json.loads(text), NewJob)
