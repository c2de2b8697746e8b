"""Jobs that failed for good, with all that is needed to see why and to run them again.

Runs in: master | job worker | command line.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Any

from brama.clock import utc_s
from jobs.policy.verdict import Cause
from jobs.storage.database import Database

_COLUMNS = "queue, job_id, attempt, name, cause, error, stack, payload, origin, created_utc, died_utc"
_NEW = f"INSERT INTO dead_letters ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#: The same attempt dies twice after a retry, which counts attempts anew: the letter is open again.
_AGAIN = """ ON CONFLICT (queue, job_id, attempt) DO UPDATE SET
    cause = excluded.cause, error = excluded.error, stack = excluded.stack, payload = excluded.payload,
    origin = excluded.origin, died_utc = excluded.died_utc, resolved_utc = NULL, note = ''"""

_SUMMARY = """letter_id, queue, job_id, attempt, name, cause, error, length(payload) AS size_bytes,
    created_utc, died_utc, resolved_utc, note"""
_UNTOLD = "resolved_utc IS NULL AND told_died_utc IS NOT died_utc"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed for good.

    Args:
        queue: where it was.
        job_id: its id in there.
        attempt: the attempt that was its last; with queue and id it identifies the letter.
        name: its type.
        cause: why it was given up.
        error: one line of what was raised.
        stack: the traceback, or nothing.
        payload: as it was enqueued.
        created_utc: when it was accepted, seconds since the epoch.
        died_utc: when it was given up.
        letter_id: the number it is named by; 0 before it is stored.
        resolved_utc: when somebody dealt with it; None while it is open.
        note: how.
        origin: who wants to know how the job ends, as in NewJob.
    """

    queue: str
    job_id: str
    attempt: int
    name: str
    cause: Cause
    error: str
    stack: str
    payload: Any
    created_utc: float
    died_utc: float
    letter_id: int = 0
    resolved_utc: float | None = None
    note: str = ""
    origin: Any = None


@dataclass(frozen=True, slots=True)
class LetterSummary:
    """A letter without what may be long or private; fields as in DeadLetter.

    Args:
        size_bytes: of the payload.
    """

    letter_id: int
    queue: str
    job_id: str
    attempt: int
    name: str
    cause: Cause
    error: str
    size_bytes: int
    created_utc: float
    died_utc: float
    resolved_utc: float | None
    note: str


@dataclass(frozen=True, slots=True)
class LetterCount:
    """How many letters of a queue are open for one cause."""

    queue: str
    cause: Cause
    count: int


class DeadLetters:
    """The dead letters of one state directory.

    Args:
        database: where they are.
        utc: seconds since the epoch.
    """

    def __init__(self, database: Database, utc: Callable[[], float] = utc_s) -> None:
        self._database = database
        self._utc = utc

    async def record(self, letter: DeadLetter) -> None:
        """Store ``letter``, synced to disk; recording the same attempt again leaves one letter.

        Raises:
            StateError: it cannot be stored.
        """
        await self._database.run(lambda connection: connection.execute(_NEW + _AGAIN, _row(letter)))

    async def missing(self, letters: list[DeadLetter]) -> list[DeadLetter]:
        """Return those that have no letter yet, open or resolved."""

        def work(connection: Connection) -> list[DeadLetter]:
            statement = "SELECT 1 FROM dead_letters WHERE (queue, job_id, attempt) = (?, ?, ?)"
            return [
                letter
                for letter in letters
                if connection.execute(statement, (letter.queue, letter.job_id, letter.attempt)).fetchone()
                is None
            ]

        return await self._database.run(work)

    async def record_missing(self, letters: list[DeadLetter]) -> int:
        """Store those that have no letter yet, open or resolved; return how many there were."""
        rows = [_row(letter) for letter in letters]
        statement = _NEW.replace("INSERT", "INSERT OR IGNORE", 1)
        return await self._database.run(lambda connection: connection.executemany(statement, rows).rowcount)

    async def open_letter(self, queue: str, job_id: str, attempt: int) -> DeadLetter | None:
        """Return the open letter of this attempt."""
        found = await self._select(
            "WHERE queue = ? AND job_id = ? AND attempt = ? AND resolved_utc IS NULL", queue, job_id, attempt
        )
        return found[0] if found else None

    async def has_open(self, queue: str, job_id: str) -> bool:
        """Return whether any attempt of this job has an open letter."""
        return bool(
            await self._select(
                "WHERE queue = ? AND job_id = ? AND resolved_utc IS NULL LIMIT 1", queue, job_id
            )
        )

    async def known(self, letter_ids: Sequence[int]) -> set[int]:
        """Return those of ``letter_ids``, 500 at most, that letters have."""
        places = ", ".join("?" * len(letter_ids))
        statement = f"SELECT letter_id FROM dead_letters WHERE letter_id IN ({places})"
        return await self._database.run(
            lambda connection: {row[0] for row in connection.execute(statement, letter_ids)}
        )

    async def get(self, letter_id: int) -> DeadLetter | None:
        """Return one letter."""
        found = await self._select("WHERE letter_id = ?", letter_id)
        return found[0] if found else None

    async def latest(
        self, *, queue: str | None = None, include_resolved: bool = False, limit: int = 100
    ) -> list[DeadLetter]:
        """Return the youngest ``limit`` letters, youngest first."""
        return await self._select(
            "WHERE (? IS NULL OR queue = ?) AND (? OR resolved_utc IS NULL) ORDER BY letter_id DESC LIMIT ?",
            queue, queue, include_resolved, limit,
        )  # fmt: skip

    async def page(
        self,
        *,
        queue: str | None = None,
        name: str | None = None,
        cause: str | None = None,
        include_resolved: bool = False,
        limit: int = 100,
        before: int | None = None,
    ) -> list[LetterSummary]:
        """Return at most ``limit`` letters, youngest first, with ids below ``before``; None: any."""
        statement = f"""SELECT {_SUMMARY} FROM dead_letters
            WHERE (:queue IS NULL OR queue = :queue) AND (:name IS NULL OR name = :name)
            AND (:cause IS NULL OR cause = :cause) AND (:resolved OR resolved_utc IS NULL)
            AND (:before IS NULL OR letter_id < :before) ORDER BY letter_id DESC LIMIT :limit"""
        values = {
            "queue": queue, "name": name, "cause": cause, "resolved": include_resolved,
            "before": before, "limit": limit,
        }  # fmt: skip
        return await self._summaries(statement, values)

    async def untold(self, since_utc: float, limit: int) -> list[LetterSummary]:
        """Return the oldest ``limit`` open letters that no operator was told of, of deaths since then."""
        statement = f"""SELECT {_SUMMARY} FROM dead_letters
            WHERE {_UNTOLD} AND died_utc >= :since ORDER BY letter_id LIMIT :limit"""
        return await self._summaries(statement, {"since": since_utc, "limit": limit})

    async def count_untold(self, since_utc: float) -> int:
        """Return how many letters ``untold`` would return without a limit."""
        statement = f"SELECT count(*) FROM dead_letters WHERE {_UNTOLD} AND died_utc >= ?"
        return await self._database.run(
            lambda connection: int(connection.execute(statement, (since_utc,)).fetchone()[0])
        )

    async def mark_told(self, letters: Iterable[LetterSummary]) -> None:
        """Note that an operator was told of these deaths; of a later death of the same letter he was not."""
        rows = [(letter.died_utc, letter.letter_id) for letter in letters]
        statement = "UPDATE dead_letters SET told_died_utc = ? WHERE letter_id = ?"
        await self._database.run(lambda connection: connection.executemany(statement, rows))

    async def open_counts(self) -> list[LetterCount]:
        """Return the number of open letters by queue and cause."""
        statement = """SELECT queue, cause, count(*) FROM dead_letters WHERE resolved_utc IS NULL
            GROUP BY queue, cause ORDER BY queue, cause"""

        def work(connection: Connection) -> list[LetterCount]:
            return [LetterCount(row[0], Cause(row[1]), row[2]) for row in connection.execute(statement)]

        return await self._database.run(work)

    async def count_open(self) -> int:
        """Return the number of open letters."""

        def work(connection: Connection) -> int:
            statement = "SELECT count(*) FROM dead_letters WHERE resolved_utc IS NULL"
            return int(connection.execute(statement).fetchone()[0])

        return await self._database.run(work)

    async def resolve(self, letter: DeadLetter, note: str) -> bool:
        """Close ``letter`` with a note; False if it is closed, or its job has died again since."""
        return await self._close("letter_id = ? AND died_utc = ?", note, letter.letter_id, letter.died_utc)

    async def resolve_job(self, queue: str, job_id: str, note: str) -> bool:
        """Close whatever is open of a job; False if nothing is."""
        return await self._close("queue = ? AND job_id = ?", note, queue, job_id)

    async def delete_resolved(self, letter_ids: Iterable[int]) -> None:
        """Forget letters, but those that have opened again."""
        rows = [(letter_id,) for letter_id in letter_ids]
        statement = "DELETE FROM dead_letters WHERE letter_id = ? AND resolved_utc IS NOT NULL"
        await self._database.run(lambda connection: connection.executemany(statement, rows))

    async def resolved_before(self, utc: float, limit: int) -> list[LetterSummary]:
        """Return up to ``limit`` letters that were resolved before ``utc``, oldest first."""
        statement = f"""SELECT {_SUMMARY} FROM dead_letters
            WHERE resolved_utc < :utc ORDER BY letter_id LIMIT :limit"""
        return await self._summaries(statement, {"utc": utc, "limit": limit})

    async def _close(self, condition: str, note: str, *values: Any) -> bool:
        statement = (
            f"UPDATE dead_letters SET resolved_utc = ?, note = ? WHERE resolved_utc IS NULL AND {condition}"
        )
        arguments = (self._utc(), note, *values)
        return await self._database.run(
            lambda connection: connection.execute(statement, arguments).rowcount > 0
        )

    async def _summaries(self, statement: str, values: dict[str, Any]) -> list[LetterSummary]:
        def work(connection: Connection) -> list[LetterSummary]:
            return [
                LetterSummary(**dict(row) | {"cause": Cause(row["cause"])})
                for row in connection.execute(statement, values)
            ]

        return await self._database.run(work)

    async def _select(self, rest: str, *values: Any) -> list[DeadLetter]:
        statement = f"SELECT letter_id, {_COLUMNS}, resolved_utc, note FROM dead_letters {rest}"

        def work(connection: Connection) -> list[DeadLetter]:
            return [_letter(row) for row in connection.execute(statement, values)]

        return await self._database.run(work)


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    return (
        letter.queue, letter.job_id, letter.attempt, letter.name, letter.cause, letter.error,
        letter.stack, json.dumps(letter.payload), json.dumps(letter.origin), letter.created_utc,
        letter.died_utc,
    )  # fmt: skip


def _letter(row: Row) -> DeadLetter:
    read = {name: json.loads(row[name]) for name in ("payload", "origin")}
    return DeadLetter(**dict(row) | read | {"cause": Cause(row["cause"])})
