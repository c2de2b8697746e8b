"""Keeps what the writer knows of the file without asking it: sources, the next row number, the tallies.

A transaction works on a ``Draft``; only a commit makes its entries count.

Runs in: master.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from supervisor.updates.model import Backlog, Source, Tally


@dataclass(slots=True)
class Change:
    """By how much one transaction changes one source's tally; the names are those of ``Tally``."""

    committed: int = 0
    processed: int = 0
    dropped: int = 0
    dead: int = 0
    purged: int = 0
    repeated: int = 0
    waiting: int = 0
    waiting_bytes: int = 0

    def add(self, other: "Change") -> None:
        """Add ``other`` to this."""
        for name in _CHANGE_NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_CHANGE_NAMES = tuple(each.name for each in fields(Change))
#: The terms that the file keeps; what waits is counted from its rows.
COUNTERS = ("committed", "processed", "dropped", "dead", "purged", "repeated")


class Books:
    """The writer's knowledge as of the last commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.ids: dict[Source, int] = {}
        self.sources: dict[int, Source] = {}
        self.dead: dict[int, int] = {}
        self.opening: dict[Source, Change] = {}
        for number, telegram_id, base_url, *counts in connection.execute(
            f"SELECT id, telegram_id, base_url, {', '.join(COUNTERS)} FROM sources"
        ):
            source = Source(telegram_id, base_url)
            self.ids[source] = number
            self.sources[number] = source
            self.opening[source] = Change(*counts)
            self.dead[number] = self.opening[source].dead
        for number, rows, size in connection.execute(
            "SELECT source, count(*), sum(size) FROM waiting GROUP BY source"
        ):
            self.opening[self.sources[number]].waiting = rows
            self.opening[self.sources[number]].waiting_bytes = size
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'updates'").fetchone()
        self.next_seq: int = last[0] + 1 if last else 1

    def draft(self) -> "Draft":
        """Return a sheet for one transaction."""
        return Draft(self, self.next_seq)

    def adopt(self, draft: "Draft") -> list[tuple[Source, Change]]:
        """Make a committed draft's entries count; return them by source."""
        self.next_seq = draft.next_seq
        for source, number in draft.new_ids.items():
            self.ids[source] = number
            self.sources[number] = source
        for number, change in draft.changes.items():
            self.dead[number] = self.dead.get(number, 0) + change.dead
        return [(self.sources[number], change) for number, change in draft.changes.items()]


@dataclass(slots=True)
class Draft:
    """What one transaction is about to change."""

    books: Books
    next_seq: int
    new_ids: dict[Source, int] = field(default_factory=dict)
    changes: dict[int, Change] = field(default_factory=dict)

    def id_of(self, source: Source) -> int | None:
        """Return the number of ``source``, None if it has none yet."""
        return self.books.ids.get(source) or self.new_ids.get(source)

    def add_source(self, source: Source) -> int:
        """Give ``source`` the next number."""
        number = self.new_ids[source] = len(self.books.ids) + len(self.new_ids) + 1
        return number

    def change(self, number: int) -> Change:
        """Return the change of a source, to be written to."""
        change = self.changes.get(number)
        if change is None:
            change = self.changes[number] = Change()
        return change

    def dead_letters(self, number: int) -> int:
        """Return how many dead letters a source has with this transaction."""
        return self.books.dead.get(number, 0) + self.change(number).dead


class Standings:
    """The tallies as the loop sees them: of what is committed, read without waiting."""

    def __init__(self, opening: dict[Source, Change]) -> None:
        self._totals = opening

    def apply(self, changes: Iterable[tuple[Source, Change]]) -> None:
        """Add what a transaction has changed."""
        for source, change in changes:
            total = self._totals.get(source)
            if total is None:
                total = self._totals[source] = Change()
            total.add(change)

    def backlog(self, source: Source) -> Backlog:
        """Return what waits for a source; nothing for one that is unknown."""
        total = self._totals.get(source)
        return Backlog(total.waiting, total.waiting_bytes) if total else Backlog(0, 0)

    def tally(self, source: Source) -> Tally:
        """Return a source's terms of the invariant; zeros for one that is unknown."""
        total = self._totals.get(source) or Change()
        return Tally(
            committed=total.committed,
            processed=total.processed,
            dropped=total.dropped,
            dead_letters=total.dead,
            purged=total.purged,
            waiting=total.waiting,
            repeated=total.repeated,
        )

    def tallies(self) -> dict[Source, Tally]:
        """Return the tally of every source that is known."""
        return {source: self.tally(source) for source in self._totals}
