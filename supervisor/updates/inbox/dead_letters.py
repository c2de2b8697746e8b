"""Keeps what was given up: dead letters are rows that are listed, shown, dropped and purged.

Runs in: master (writing in the writer's thread, reading in the reader's).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from brama.ids import BotId, TelegramId, UpdateId
from supervisor.updates.inbox.books import Draft
from supervisor.updates.inbox.operations import BuryRaw
from supervisor.updates.inbox.statements import as_list, fetch_json, storable
from supervisor.updates.model import DeadLetter, Reason, Source
from supervisor.updates.policy.decoding import UNKNOWN_KIND

#: Characters kept of a letter's texts; a traceback's end says most, so the last ones are kept.
ERROR_LIMIT = 200
DETAIL_LIMIT = 4_000
TRACEBACK_LIMIT = 32_000

_OLDEST_OF_SOURCE = """letter_id IN (
    SELECT letter_id FROM dead_letters WHERE source = ? ORDER BY letter_id LIMIT ?)"""
_NO_BODY = "x''"
_LETTER = """SELECT letter_id, bot_id, update_id, kind, reason, error, detail, traceback, attempts,
    received_utc, died_utc, size, {raw}, telegram_id, base_url
    FROM dead_letters JOIN sources ON sources.id = dead_letters.source"""


# --- writing --------------------------------------------------------------------------------------


def insert_malformed(connection: sqlite3.Connection, source: int, burial: BuryRaw, now_utc: float) -> None:
    """Write the letter of bytes that are no update."""
    connection.execute(
        """INSERT INTO dead_letters
               (source, bot_id, update_id, kind, lane, reason, error, detail, traceback, attempts,
                received_utc, died_utc, size, raw)
           VALUES (?, ?, ?, ?, '', ?, '', ?, '', 0, ?, ?, ?, ?)""",
        (
            source,
            burial.bot_id,
            burial.update_id,
            UNKNOWN_KIND,
            burial.reason.value,
            storable(burial.detail, DETAIL_LIMIT),
            now_utc,
            now_utc,
            len(burial.raw),
            burial.raw,
        ),
    )


def drop(connection: sqlite3.Connection, draft: Draft, letter_ids: Sequence[int]) -> int:
    """Purge letters; return how many of ``letter_ids`` there were."""
    return _purge(connection, draft, "letter_id IN (SELECT value FROM json_each(?))", as_list(letter_ids))


def purge_source(connection: sqlite3.Connection, draft: Draft, number: int) -> int:
    """Purge all letters of a source; return how many."""
    return _purge(connection, draft, "source = ?", number)


def purge_beyond(connection: sqlite3.Connection, draft: Draft, most: int) -> None:
    """Purge the oldest letters of every source that got some and has more than ``most``."""
    for number, change in list(draft.changes.items()):
        excess = draft.dead_letters(number) - most
        if change.dead > 0 and excess > 0:
            _purge(
                connection,
                draft,
                _OLDEST_OF_SOURCE,
                number,
                excess,
            )


def purge_older(connection: sqlite3.Connection, draft: Draft, died_before_utc: float, most: int) -> int:
    """Purge up to ``most`` letters that died before an epoch second; return how many."""
    condition = (
        "letter_id IN (SELECT letter_id FROM dead_letters ORDER BY letter_id LIMIT ?) AND died_utc < ?"
    )
    return _purge(connection, draft, condition, most, died_before_utc)


def _purge(connection: sqlite3.Connection, draft: Draft, condition: str, *arguments: object) -> int:
    purged: list[tuple[int, int]] = fetch_json(
        connection,
        f"""SELECT json_group_array(json_array(source, letters)) FROM (
                SELECT source, count(*) AS letters FROM dead_letters WHERE {condition} GROUP BY source)""",
        *arguments,
    )
    if purged:
        connection.execute(f"DELETE FROM dead_letters WHERE {condition}", arguments)
    for number, letters in purged:
        draft.change(number).dead -= letters
        draft.change(number).purged += letters
    return sum(letters for _, letters in purged)


# --- reading --------------------------------------------------------------------------------------


def list_letters(
    connection: sqlite3.Connection, bot_id: BotId | None, limit: int, before: int | None
) -> list[DeadLetter]:
    """Return letters, newest first, without their bodies (``raw`` is empty).

    Args:
        connection: one that reads.
        bot_id: the label to list; None lists all.
        limit: the most that are returned.
        before: only letters with lower ids, to page on; None begins with the newest.
    """
    conditions, arguments = ["1"], list[object]()
    if bot_id is not None:
        conditions.append("bot_id = ?")
        arguments.append(bot_id)
    if before is not None:
        conditions.append("letter_id < ?")
        arguments.append(before)
    statement = (
        f"{_LETTER.format(raw=_NO_BODY)} WHERE {' AND '.join(conditions)} ORDER BY letter_id DESC LIMIT ?"
    )
    return [_letter(row) for row in connection.execute(statement, (*arguments, limit))]


def find_letter(connection: sqlite3.Connection, letter_id: int) -> DeadLetter | None:
    """Return one letter with its body, None if there is none of that id."""
    row = connection.execute(f"{_LETTER.format(raw='raw')} WHERE letter_id = ?", (letter_id,)).fetchone()
    return None if row is None else _letter(row)


def _letter(row: Sequence[Any]) -> DeadLetter:
    letter_id, bot_id, update_id, kind, reason, *rest, telegram_id, base_url = row
    error, detail, traceback, attempts, received_utc, died_utc, size_bytes, raw = rest
    return DeadLetter(
        letter_id=letter_id,
        bot_id=BotId(bot_id),
        update_id=None if update_id is None else UpdateId(update_id),
        kind=kind,
        reason=Reason(reason),
        error=error,
        detail=detail,
        traceback=traceback,
        attempts=attempts,
        received_utc=received_utc,
        died_utc=died_utc,
        size_bytes=size_bytes,
        raw=raw,
        source=Source(TelegramId(telegram_id), base_url),
    )
