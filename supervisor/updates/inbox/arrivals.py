"""Takes batches in: claims every update_id, then writes the bodies of those that were new.

Runs in: master (the writer's thread).
"""

import sqlite3
from collections.abc import Container, Sequence
from hashlib import blake2b

from brama.ids import Seq
from supervisor.updates.inbox.books import Draft
from supervisor.updates.inbox.dead_letters import insert_malformed
from supervisor.updates.inbox.operations import Accept, BuryRaw
from supervisor.updates.inbox.schema import State
from supervisor.updates.inbox.statements import fetch_json, insert_rows
from supervisor.updates.model import Accepted, Row, Source, Verdict

_CLAIM = "INSERT INTO updates (seq, source, update_id, state, settled_utc)"
_WAIT = (
    "INSERT INTO waiting"
    " (seq, source, update_id, bot_id, kind, lane, size, attempts, charges, received_utc, raw)"
)
_UNLESS_KNOWN = "ON CONFLICT DO NOTHING"
_DIGEST_BYTES = 16

Arriving = Accept | BuryRaw
Taken = tuple[Accepted, ...] | bool


def take_in(
    connection: sqlite3.Connection, draft: Draft, arriving: Sequence[Arriving], now_utc: float
) -> list[Taken]:
    """Write what arrives in one transaction; return each operation's result.

    An update_id that is claimed twice in the group belongs to the first.
    """
    first = draft.next_seq
    fresh = _claim(connection, draft, arriving, int(now_utc))
    taken: list[Taken] = []
    bodies: list[object] = []
    seq = first
    for operation in arriving:
        source = _source(connection, draft, operation.source)
        if isinstance(operation, Accept):
            taken.append(_accept(draft, operation, source, seq, fresh, bodies, now_utc))
            seq += len(operation.candidates)
            continue
        if operation.update_id is not None:
            new = seq in fresh
            seq += 1
        else:
            new = _is_new_nameless(connection, source, operation.raw, int(now_utc))
        change = draft.change(source)
        if new:
            change.committed += 1
            change.dead += 1
            insert_malformed(connection, source, operation, now_utc)
        elif operation.update_id is not None:
            # Without an id, equal bytes may be another update, or come until one behind confirms them.
            change.repeated += 1
        taken.append(new)
    insert_rows(connection, _WAIT, 11, bodies)
    return taken


def add_waiting(connection: sqlite3.Connection, source: int, bot_id: str, row: Row) -> None:
    """Write the body of one row whose update_id is claimed."""
    insert_rows(connection, _WAIT, 11, _body(source, bot_id, row))


def _claim(
    connection: sqlite3.Connection, draft: Draft, arriving: Sequence[Arriving], now_utc: int
) -> Container[int]:
    """Give every update a row number; return the numbers of those whose update_id was free."""
    first = seq = draft.next_seq
    claims: list[object] = []
    for operation in arriving:
        source = _source(connection, draft, operation.source)
        if isinstance(operation, Accept):
            for candidate in operation.candidates:
                if candidate.duplicate:
                    claims += (seq, source, candidate.update_id, int(State.DROPPED), now_utc)
                else:
                    claims += (seq, source, candidate.update_id, int(State.WAITING), None)
                seq += 1
        elif operation.update_id is not None:
            claims += (seq, source, operation.update_id, int(State.DEAD), now_utc)
            seq += 1
    draft.next_seq = seq
    if insert_rows(connection, _CLAIM, 5, claims, _UNLESS_KNOWN) == seq - first:
        return range(first, seq)
    statement = "SELECT json_group_array(seq) FROM updates WHERE seq >= ?"
    return frozenset(fetch_json(connection, statement, first))


def _accept(
    draft: Draft,
    operation: Accept,
    source: int,
    seq: int,
    fresh: Container[int],
    bodies: list[object],
    now_utc: float,
) -> tuple[Accepted, ...]:
    """Return a batch's verdicts, its first claim being ``seq``; append what is queued to ``bodies``."""
    change = draft.change(source)
    accepted = []
    for number, candidate in enumerate(operation.candidates, seq):
        update_id = candidate.update_id
        if number not in fresh:
            change.repeated += 1
            accepted.append(Accepted(update_id, Verdict.KNOWN, None))
            continue
        change.committed += 1
        if candidate.duplicate:
            change.dropped += 1
            accepted.append(Accepted(update_id, Verdict.DROPPED, None))
            continue
        row = Row(Seq(number), update_id, candidate.kind, candidate.lane, candidate.raw, 0, 0, now_utc)
        bodies += _body(source, operation.bot_id, row)
        change.waiting += 1
        change.waiting_bytes += len(row.raw)
        accepted.append(Accepted(update_id, Verdict.QUEUED, row))
    return tuple(accepted)


def _body(source: int, bot_id: str, row: Row) -> tuple[object, ...]:
    return (
        row.seq,
        source,
        row.update_id,
        bot_id,
        row.kind,
        row.lane,
        len(row.raw),
        row.attempts,
        row.charges,
        row.received_utc,
        row.raw,
    )


def _source(connection: sqlite3.Connection, draft: Draft, source: Source) -> int:
    """Return the number of ``source``, which gets one with its first update."""
    number = draft.id_of(source)
    if number is None:
        number = draft.add_source(source)
        connection.execute(
            "INSERT INTO sources (id, telegram_id, base_url) VALUES (?, ?, ?)",
            (number, source.telegram_id, source.base_url),
        )
    return number


def _is_new_nameless(connection: sqlite3.Connection, source: int, raw: bytes, now_utc: int) -> bool:
    """Remember bytes that have no update_id; return whether they were never seen."""
    digest = blake2b(raw, digest_size=_DIGEST_BYTES).digest()
    statement = f"INSERT INTO nameless (source, digest, settled_utc) VALUES (?, ?, ?) {_UNLESS_KNOWN}"
    return connection.execute(statement, (source, digest, now_utc)).rowcount == 1
