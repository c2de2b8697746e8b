"""Reads the inbox in a thread of its own, so that neither the loop nor a commit waits for a page.

Runs in: master.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from brama.ids import BotId, Seq, UpdateId
from supervisor.updates.inbox.dead_letters import find_letter, list_letters
from supervisor.updates.inbox.schema import open_for_reading, reason_of
from supervisor.updates.model import CommitFailedError, DeadLetter, Row, Source

T = TypeVar("T")

_PAGE = """SELECT seq, update_id, kind, lane, raw, attempts, charges, received_utc, size FROM waiting
    WHERE source = (SELECT id FROM sources WHERE telegram_id = ? AND base_url = ?) AND seq > ?
    ORDER BY seq LIMIT ?"""


class Reader:
    """One connection that reads what is committed. Its methods raise CommitFailedError if the file fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_for_reading(path)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inbox-reader")

    async def page(self, source: Source, after_seq: Seq, max_rows: int, max_bytes: int) -> list[Row]:
        """Return waiting rows of a source with higher numbers than ``after_seq``, in arrival order.

        At most ``max_rows``, and no more bodies than ``max_bytes``, but one row at least if there is one.
        """
        return await self._ask(lambda: _page(self._connection, source, after_seq, max_rows, max_bytes))

    async def dead_letters(self, bot_id: BotId | None, limit: int, before: int | None) -> list[DeadLetter]:
        """Return letters, newest first, without bodies."""
        return await self._ask(lambda: list_letters(self._connection, bot_id, limit, before))

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        """Return one letter with its body."""
        return await self._ask(lambda: find_letter(self._connection, letter_id))

    def close(self) -> None:
        """End the thread and the connection; blocks until a read that goes on is through."""
        self._executor.shutdown()
        self._connection.close()

    async def _ask(self, question: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, question)
        except sqlite3.Error as error:
            raise CommitFailedError(reason_of(self._path, error)) from None


def recall_all(connection: sqlite3.Connection) -> dict[str, bytes]:
    """Return everything that was remembered, but for what the schema notes of itself."""
    return dict(connection.execute("SELECT key, value FROM memory WHERE key NOT LIKE 'schema/%'"))


def _page(
    connection: sqlite3.Connection, source: Source, after_seq: Seq, max_rows: int, max_bytes: int
) -> list[Row]:
    rows: list[Row] = []
    room = max_bytes
    cursor = connection.execute(_PAGE, (source.telegram_id, source.base_url, after_seq, max_rows))
    for seq, update_id, kind, lane, raw, attempts, charges, received_utc, size in cursor:
        room -= size
        if rows and room < 0:
            break
        rows.append(Row(Seq(seq), UpdateId(update_id), kind, lane, raw, attempts, charges, received_utc))
    cursor.close()
    return rows
