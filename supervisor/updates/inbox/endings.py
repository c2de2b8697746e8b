"""Ends waiting rows: processed, or dead.

Runs in: master (the writer's thread).
"""

import json
import sqlite3
from collections.abc import Collection, Iterable

from supervisor.updates.inbox.books import Draft
from supervisor.updates.inbox.dead_letters import DETAIL_LIMIT, ERROR_LIMIT, TRACEBACK_LIMIT, purge_source
from supervisor.updates.inbox.operations import Attempted, Bury, Charged
from supervisor.updates.inbox.schema import State
from supervisor.updates.inbox.statements import as_list, fetch_json, storable
from supervisor.updates.model import Source


def count(connection: sqlite3.Connection, counts: Iterable[Attempted | Charged]) -> None:
    """Write failed tries and charged deaths of rows that still wait."""
    for each in counts:
        if isinstance(each, Attempted):
            connection.execute("UPDATE waiting SET attempts = ? WHERE seq = ?", (each.attempts, each.seq))
        else:
            connection.execute("UPDATE waiting SET charges = ? WHERE seq = ?", (each.charges, each.seq))


def process(connection: sqlite3.Connection, draft: Draft, seqs: Collection[int], now_utc: float) -> None:
    """Erase the bodies of acknowledged rows; numbers of rows that do not wait are ignored."""
    for number, rows, _ in _end(connection, draft, seqs, State.PROCESSED, now_utc):
        draft.change(number).processed += rows


def bury(connection: sqlite3.Connection, draft: Draft, burials: Collection[Bury], now_utc: float) -> None:
    """Turn waiting rows into dead letters; burials of rows that do not wait are ignored."""
    facts = [
        (
            each.seq,
            each.reason.value,
            storable(each.error, ERROR_LIMIT),
            storable(each.detail, DETAIL_LIMIT),
            storable(each.traceback, TRACEBACK_LIMIT),
        )
        for each in burials
    ]
    connection.execute(
        """INSERT INTO dead_letters
               (source, bot_id, update_id, kind, lane, reason, error, detail, traceback, attempts,
                received_utc, died_utc, size, raw)
           SELECT w.source, w.bot_id, w.update_id, w.kind, w.lane,
                  json_extract(fact.value, '$[1]'), json_extract(fact.value, '$[2]'),
                  json_extract(fact.value, '$[3]'), json_extract(fact.value, '$[4]'),
                  w.attempts + w.charges, w.received_utc, ?, w.size, w.raw
           FROM json_each(?) AS fact JOIN waiting AS w ON w.seq = json_extract(fact.value, '$[0]')
           ORDER BY fact.key""",
        (now_utc, json.dumps(facts)),
    )
    for number, rows, _ in _end(connection, draft, [each.seq for each in burials], State.DEAD, now_utc):
        draft.change(number).dead += rows


def abandon(connection: sqlite3.Connection, draft: Draft, source: Source, now_utc: float) -> int:
    """Erase all that waits of a source and its dead letters; return how many updates that were."""
    number = draft.id_of(source)
    if number is None:
        return 0
    statement = "SELECT json_group_array(seq) FROM waiting WHERE source = ?"
    ended = _end(connection, draft, fetch_json(connection, statement, number), State.DEAD, now_utc)
    rows = sum(rows for _, rows, _ in ended)
    draft.change(number).purged += rows
    return rows + purge_source(connection, draft, number)


def _end(
    connection: sqlite3.Connection, draft: Draft, seqs: Iterable[int], state: State, now_utc: float
) -> list[tuple[int, int, int]]:
    """Erase rows' bodies, keep their ids as ``state``; return (source, rows, bytes) for each source."""
    listed = as_list(seqs)
    ended: list[tuple[int, int, int]] = fetch_json(
        connection,
        """SELECT json_group_array(json_array(source, rows, bytes)) FROM (
               SELECT source, count(*) AS rows, sum(size) AS bytes FROM waiting
               WHERE seq IN (SELECT value FROM json_each(?)) GROUP BY source)""",
        listed,
    )
    if ended:
        connection.execute(
            """UPDATE updates SET state = ?, settled_utc = ?
               WHERE seq IN (SELECT value FROM json_each(?)) AND state = ?""",
            (int(state), int(now_utc), listed, int(State.WAITING)),
        )
        connection.execute("DELETE FROM waiting WHERE seq IN (SELECT value FROM json_each(?))", (listed,))
    for number, rows, size in ended:
        change = draft.change(number)
        change.waiting -= rows
        change.waiting_bytes -= size
    return ended
