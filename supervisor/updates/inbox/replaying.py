"""Turns dead letters back into waiting rows.

Runs in: master (the writer's thread).
"""

import sqlite3
from collections.abc import Sequence

from brama.ids import BotId, Seq, UpdateId
from supervisor.updates.inbox.arrivals import add_waiting
from supervisor.updates.inbox.books import Draft
from supervisor.updates.inbox.operations import LetterError
from supervisor.updates.inbox.schema import State
from supervisor.updates.inbox.statements import as_list
from supervisor.updates.model import Reason, Row

_LETTERS = """SELECT letter_id, letter.source, bot_id, letter.update_id, kind, lane, reason, raw, state
    FROM dead_letters AS letter
    LEFT JOIN updates ON updates.source = letter.source AND updates.update_id = letter.update_id
    WHERE letter_id IN (SELECT value FROM json_each(?))"""


def replay(
    connection: sqlite3.Connection, draft: Draft, letter_ids: Sequence[int], now_utc: float
) -> list[tuple[BotId, Row]] | LetterError:
    """Move letters to the inbox's tail, in the order given: all of them, or none and the first obstacle.

    Each gets a new row number and no failed tries, and counts as received now, so that it is not expired.
    """
    wanted = list(dict.fromkeys(letter_ids))
    letters = {letter[0]: letter for letter in connection.execute(_LETTERS, (as_list(wanted),))}
    taken: set[tuple[int, int]] = set()
    for letter_id in wanted:
        if letter_id not in letters:
            return LetterError(
                f"there is no dead letter {letter_id}; see: brama-supervisor dead-letters list"
            )
        _, source, bot_id, update_id, _, _, reason, _, state = letters[letter_id]
        if reason == Reason.MALFORMED:
            return LetterError(
                f"dead letter {letter_id} is no update and cannot be replayed; look at it, then drop it: "
                f"brama-supervisor dead-letters drop {letter_id}"
            )
        if state == State.WAITING or (source, update_id) in taken:
            return LetterError(
                f"dead letter {letter_id}: update {update_id} of bot {bot_id} waits in the inbox already; "
                "replay the letter when that one is through"
            )
        taken.add((source, update_id))
    replayed = []
    for letter_id in wanted:
        _, source, bot_id, update_id, kind, lane, _, raw, _ = letters[letter_id]
        row = Row(Seq(draft.next_seq), UpdateId(update_id), kind, lane, raw, 0, 0, now_utc)
        draft.next_seq += 1
        connection.execute("DELETE FROM updates WHERE source = ? AND update_id = ?", (source, update_id))
        connection.execute(
            "INSERT INTO updates (seq, source, update_id, state) VALUES (?, ?, ?, ?)",
            (row.seq, source, update_id, int(State.WAITING)),
        )
        add_waiting(connection, source, bot_id, row)
        connection.execute("DELETE FROM dead_letters WHERE letter_id = ?", (letter_id,))
        change = draft.change(source)
        change.dead -= 1
        change.waiting += 1
        change.waiting_bytes += len(raw)
        replayed.append((BotId(bot_id), row))
    return replayed
