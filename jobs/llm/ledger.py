"""What this machine knows of each task of the LLM backend, while and after the engine does.

The engine decides what a task is; this answers while the engine is away, and after it has let a task go.

Runs in: master | job worker.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Any

from brama.clock import utc_s
from jobs.llm.policy.status import KEPT_S, Status, TaskView
from jobs.storage.database import Database

#: A task that never ended here, as one whose end another machine saw, is forgotten after a week.
_OPEN_KEPT_S = 7 * 86400.0
_ENDS = "('completed', 'failed')"
_NOTE = """INSERT INTO llm_tasks (job_id, body_hash, status, result, error, changed_utc)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (job_id) DO UPDATE SET body_hash = excluded.body_hash, status = excluded.status,
    result = excluded.result, error = excluded.error, changed_utc = excluded.changed_utc"""


@dataclass(frozen=True, slots=True)
class BuriedTask:
    """A task that was given up without its worker having a say.

    Args:
        job_id: of its job.
        error: why.
        data: of its job.
    """

    job_id: str
    error: str
    data: Any


class TaskLedger:
    """The tasks of one state directory.

    Args:
        database: where they are.
        utc: seconds since the epoch.
    """

    def __init__(self, database: Database, utc: Callable[[], float] = utc_s) -> None:
        self._database = database
        self._utc = utc

    async def accept(self, job_id: str, body_hash: str) -> None:
        """Note that a task is queued; what is known of it stays, unless that was of another body.

        Raises:
            StateError: it cannot be written.
        """
        now = self._utc()

        def work(connection: Connection) -> None:
            self._forget_old(connection, now)
            row = (job_id, body_hash, Status.QUEUED, None, None, now)
            connection.execute(f"{_NOTE} WHERE body_hash != excluded.body_hash", row)

        await self._database.run(work)

    async def note(self, job_id: str, task: TaskView) -> None:
        """Note how a task stands now.

        Raises:
            StateError: it cannot be written.
        """
        result = json.dumps(task.result) if task.status is Status.COMPLETED else None
        row = (job_id, task.body_hash, task.status, result, task.error, self._utc())
        await self._database.run(lambda connection: connection.execute(_NOTE, row))

    async def find(self, job_id: str) -> TaskView | None:
        """Return a task, None if it is not known, or ended more than 24 h ago.

        Raises:
            StateError: it cannot be read.
        """
        statement = f"""SELECT * FROM llm_tasks WHERE job_id = ?
            AND (status NOT IN {_ENDS} OR changed_utc >= ?)"""
        values = (job_id, self._utc() - KEPT_S)

        def work(connection: Connection) -> TaskView | None:
            row = connection.execute(statement, values).fetchone()
            return None if row is None else _view(row)

        return await self._database.run(work)

    async def counts(self) -> dict[Status, int]:
        """Return the number of tasks in each status, as last known here."""

        def work(connection: Connection) -> dict[Status, int]:
            rows = connection.execute("SELECT status, count(*) AS count FROM llm_tasks GROUP BY status")
            return dict.fromkeys(Status, 0) | {Status(row["status"]): row["count"] for row in rows}

        return await self._database.run(work)

    async def buried(self, queue: str) -> list[BuriedTask]:
        """Return tasks that have a dead letter whose end is not noted."""
        statement = """SELECT dead_letters.* FROM llm_tasks JOIN dead_letters USING (job_id)
            WHERE queue = ? AND resolved_utc IS NULL AND died_utc >= changed_utc
            AND status IN ('queued', 'processing') LIMIT 100"""

        def work(connection: Connection) -> list[BuriedTask]:
            rows = connection.execute(statement, (queue,))
            return [BuriedTask(row["job_id"], row["error"], json.loads(row["payload"])) for row in rows]

        return await self._database.run(work)

    def _forget_old(self, connection: Connection, now: float) -> None:
        connection.execute(
            f"""DELETE FROM llm_tasks WHERE changed_utc < ? AND (status IN {_ENDS} OR changed_utc < ?)""",
            (now - KEPT_S, now - _OPEN_KEPT_S),
        )


def _view(row: Row) -> TaskView:
    result = None if row["result"] is None else json.loads(row["result"])
    return TaskView(Status(row["status"]), row["body_hash"], result, row["error"])
