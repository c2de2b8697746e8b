"""Sends many rows to SQLite in few calls.

Each step of a statement gives the interpreter's lock away and may wait five milliseconds to get it back from
a busy event loop: ``executemany`` of 100 rows took 100 such waits (550 rows a second where rows of one
statement made 5600). So rows travel as one statement of many values, lists of numbers as one JSON text.

Runs in: master.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

#: An INSERT takes this many rows, or a multiple of _STEP_ROWS, or what is left below that: so a poll's batch
#: is two statements at most, and few are ever prepared.
_MOST_ROWS = 128
_STEP_ROWS = 16


def insert_rows(
    connection: sqlite3.Connection, head: str, columns: int, values: Sequence[object], tail: str = ""
) -> int:
    """Insert rows; return how many the table took.

    Args:
        connection: inside a transaction.
        head: "INSERT INTO table (names)".
        columns: how many values make one row.
        values: the rows' values, one row after another.
        tail: what follows the values, such as "ON CONFLICT DO NOTHING".
    """
    inserted = 0
    rows = len(values) // columns
    done = 0
    while done < rows:
        left = rows - done
        count = min(left - left % _STEP_ROWS, _MOST_ROWS) if left >= _STEP_ROWS else left
        chunk = values[done * columns : (done + count) * columns]
        inserted += connection.execute(_insert(head, columns, count, tail), chunk).rowcount
        done += count
    return inserted


def as_list(numbers: Iterable[int]) -> str:
    """Return numbers as a JSON text for ``json_each``."""
    return "[" + ",".join(map(str, numbers)) + "]"


def fetch_json(connection: sqlite3.Connection, statement: str, *arguments: object) -> Any:
    """Return the one JSON value that ``statement`` selects."""
    return json.loads(connection.execute(statement, arguments).fetchone()[0])


def storable(text: str, limit: int) -> str:
    """Return the last ``limit`` characters of ``text`` without what SQLite cannot keep: surrogates, NUL."""
    return text[-limit:].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@cache
def _insert(head: str, columns: int, rows: int, tail: str) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return f"{head} VALUES {','.join([row] * rows)} {tail}"
