"""Applies a group of operations inside one open transaction.

Runs in: master (the writer's thread).
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from supervisor.updates.inbox.arrivals import Arriving, take_in
from supervisor.updates.inbox.books import COUNTERS, Draft
from supervisor.updates.inbox.dead_letters import drop, purge_beyond
from supervisor.updates.inbox.endings import abandon, bury, count, process
from supervisor.updates.inbox.operations import (
    Abandon,
    Accept,
    Attempted,
    Barrier,
    Bury,
    BuryRaw,
    Charged,
    Drop,
    Operation,
    Processed,
    Remember,
    Replay,
)
from supervisor.updates.inbox.replaying import replay

#: What an operation comes to; operations.py says for each what that is.
Result = Any


def apply_group(
    connection: sqlite3.Connection,
    draft: Draft,
    operations: Sequence[Operation],
    *,
    now_utc: float,
    letters_per_source: int,
) -> list[Result]:
    """Write every operation of a group and its tallies; return their results in the same order.

    Written by kind, so that a group takes a handful of statements: counts, ends, what comes in, letters,
    memory. None of them can hang on a later one of its group, since results are known after the commit only.
    A row that is both processed and buried in one group counts as processed.

    Args:
        connection: inside a transaction.
        draft: takes down what changes.
        operations: the group.
        now_utc: epoch seconds, the moment of everything in the group.
        letters_per_source: dead letters kept for one source; older ones are purged.

    Raises:
        sqlite3.Error: nothing counts; the caller rolls back and forgets the draft.
    """
    results: list[Result] = [None] * len(operations)
    arriving: dict[int, Arriving] = {}
    processed: dict[int, None] = {}
    counts: list[Attempted | Charged] = []
    burials: dict[int, Bury] = {}
    rare: dict[int, Replay | Drop | Abandon] = {}
    memory: dict[str, bytes | None] = {}
    for index, operation in enumerate(operations):
        match operation:
            case Accept() | BuryRaw():
                arriving[index] = operation
            case Processed(seqs):
                processed.update(dict.fromkeys(seqs))
            case Attempted() | Charged():
                counts.append(operation)
            case Bury(seq):
                burials.setdefault(seq, operation)
            case Remember(key, value):
                memory[key] = value
            case Replay() | Drop() | Abandon():
                rare[index] = operation
            case Barrier():
                pass
    count(connection, counts)
    if processed:
        process(connection, draft, processed, now_utc)
    if burials:
        bury(connection, draft, burials.values(), now_utc)
    if arriving:
        taken = take_in(connection, draft, list(arriving.values()), now_utc)
        for index, result in zip(arriving, taken, strict=True):
            results[index] = result
    for index, each in rare.items():
        match each:
            case Replay(letter_ids):
                results[index] = replay(connection, draft, letter_ids, now_utc)
            case Drop(letter_ids):
                results[index] = drop(connection, draft, letter_ids)
            case Abandon(source):
                results[index] = abandon(connection, draft, source, now_utc)
    purge_beyond(connection, draft, letters_per_source)
    _remember(connection, memory)
    save_counters(connection, draft)
    return results


def save_counters(connection: sqlite3.Connection, draft: Draft) -> None:
    """Add the draft's changes to the tallies in the file."""
    rows = [
        (number, *(getattr(change, name) for name in COUNTERS)) for number, change in draft.changes.items()
    ]
    if rows:
        sums = ", ".join(
            f"{name} = {name} + json_extract(change.value, '$[{index}]')"
            for index, name in enumerate(COUNTERS, 1)
        )
        connection.execute(
            f"UPDATE sources SET {sums} FROM json_each(?) AS change "
            "WHERE sources.id = json_extract(change.value, '$[0]')",
            (json.dumps(rows),),
        )


def _remember(connection: sqlite3.Connection, memory: Mapping[str, bytes | None]) -> None:
    for key, value in memory.items():
        if value is None:
            connection.execute("DELETE FROM memory WHERE key = ?", (key,))
        else:
            connection.execute("INSERT OR REPLACE INTO memory (key, value) VALUES (?, ?)", (key, value))
