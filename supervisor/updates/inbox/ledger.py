"""The inbox as the rest of the master sees it: durable first, asynchronous always.

Everything here is called in the master's loop, which never touches SQLite: one thread writes, one reads.

Runs in: master.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from brama.clock import Clock, monotonic_s, utc_s
from brama.errors import StateError
from brama.ids import BotId, Seq, UpdateId
from brama.log import get_logger
from supervisor.updates.inbox.books import Books, Standings
from supervisor.updates.inbox.committing import Committer, Told
from supervisor.updates.inbox.housekeeping import Housekeeping, LedgerLimits
from supervisor.updates.inbox.link import CLOSED, WriterLink
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
from supervisor.updates.inbox.presence import Presence
from supervisor.updates.inbox.reader import Reader, recall_all
from supervisor.updates.inbox.schema import Durability, open_for_writing, reason_of
from supervisor.updates.inbox.stall import Stall
from supervisor.updates.inbox.writer import Writer
from supervisor.updates.model import (
    Accepted,
    Backlog,
    Candidate,
    CommitFailedError,
    DeadLetter,
    Reason,
    Row,
    Source,
    Tally,
)

log = get_logger(__name__)


def open_ledger(
    path: Path,
    durability: Durability = "full",
    *,
    limits: LedgerLimits | None = None,
    monotonic: Clock = monotonic_s,
    utc: Clock = utc_s,
) -> "Ledger":
    """Open the state file, or make it.

    Args:
        path: the SQLite file; its log and index are kept beside it, all with mode 0600.
        durability: full survives a power cut; normal may lose the last commits in one, never in a crash.
        limits: how long things are kept.
        monotonic: clock of intervals.
        utc: clock of what is written down.

    Raises:
        StateError: damaged, read-only, foreign, newer than this program, in use: one line. It is never
            replaced.
    """
    connection = open_for_writing(path, durability)
    try:
        return Ledger(path, connection, limits or LedgerLimits(), monotonic=monotonic, utc=utc)
    except (sqlite3.Error, OSError, StateError) as error:
        connection.close()
        if isinstance(error, StateError):
            raise
        raise StateError(reason_of(path, error)) from None


class Ledger:
    """Every update from its commit to its end. Made by ``open_ledger``.

    What is refused raises CommitFailedError: nothing of it was written. ``processed``, ``attempt``,
    ``charge`` and ``bury`` return at once and are never refused; while commits fail they stay in memory.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        limits: LedgerLimits,
        *,
        monotonic: Clock,
        utc: Clock,
    ) -> None:
        books = Books(connection)
        self._standings = Standings(books.opening)
        self._memory = recall_all(connection)
        self._reader = Reader(path)
        presence = Presence(path, monotonic)
        self._link = WriterLink(self._standings, self._concluded)
        self._writer = Writer(
            Committer(connection, path, books, presence, letters_per_source=limits.letters_per_bot, utc=utc),
            Housekeeping(connection, books, limits, monotonic()),
            Stall(path),
            presence,
            monotonic=monotonic,
            utc=utc,
            report=self._link.post,
            close=connection.close,
        )
        self._link.connect(self._writer)
        self._closed = False
        #: Rows whose end is noted and not committed yet, and for each page being read what it must not show.
        self._leaving: set[Seq] = set()
        self._hidden: list[set[Seq]] = []
        #: Those among them that were acknowledged.
        self._acknowledged: set[Seq] = set()

    async def close(self) -> None:
        """Write what is queued and close the file. Later calls do nothing.

        What cannot be written now, because the disk is full, is lost with this process: acknowledged updates
        among it are delivered again after the next start.
        """
        if self._closed:
            return
        self._closed = True
        self._link.close()
        if lost := await asyncio.get_running_loop().run_in_executor(None, self._shut):
            log.error("inbox.closed_unwritten", operations=lost, reason=self.stalled)

    # --- what comes in --------------------------------------------------------------------------

    async def accept(
        self, bot_id: BotId, source: Source, candidates: Sequence[Candidate]
    ) -> tuple[Accepted, ...]:
        """Commit a batch; return the fate of each candidate, in order.

        Raises:
            CommitFailedError: nothing of the batch was written.
        """
        accepted: tuple[Accepted, ...] = await self.begin_accept(bot_id, source, candidates)
        return accepted

    def begin_accept(
        self, bot_id: BotId, source: Source, candidates: Sequence[Candidate], told: Told | None = None
    ) -> "asyncio.Future[tuple[Accepted, ...]]":
        """Queue a batch at once, as ``accept`` does; the future has the result.

        Args:
            bot_id: the label the source has now.
            source: whose updates these are.
            candidates: the batch.
            told: called in the loop with the result, or the CommitFailedError, in the order of commits over
                all batches, and before the future is done; also when nobody waits for the future any more.
        """
        return self._link.ask(Accept(bot_id, source, tuple(candidates)), told)

    async def bury_raw(
        self,
        bot_id: BotId,
        source: Source,
        update_id: UpdateId | None,
        raw: bytes,
        reason: Reason,
        detail: str,
    ) -> bool:
        """Keep bytes that are no update as a dead letter; return whether they were new.

        They are recognized by ``update_id`` where there is one, else by themselves, as long as updates are.

        Raises:
            CommitFailedError: nothing was written.
        """
        buried: bool = await self.begin_bury_raw(bot_id, source, update_id, raw, reason, detail)
        return buried

    def begin_bury_raw(
        self,
        bot_id: BotId,
        source: Source,
        update_id: UpdateId | None,
        raw: bytes,
        reason: Reason,
        detail: str,
    ) -> "asyncio.Future[bool]":
        """Queue a malformed element at once, as ``bury_raw`` does; the future has the result."""
        return self._link.ask(BuryRaw(bot_id, source, update_id, raw, reason, detail))

    # --- what becomes of it ---------------------------------------------------------------------

    def processed(self, seqs: Iterable[Seq]) -> None:
        """Note that these were acknowledged; their bodies are erased with the next commit."""
        ended = tuple(seqs)
        if ended:
            self._leave(ended)
            self._acknowledged.update(ended)
            self._link.note(Processed(ended))

    def attempt(self, seq: Seq, attempts: int) -> None:
        """Note how many tries of a row have failed."""
        self._link.note(Attempted(seq, attempts))

    def charge(self, seq: Seq, charges: int) -> None:
        """Note how many deaths a row is charged with."""
        self._link.note(Charged(seq, charges))

    def bury(self, seq: Seq, reason: Reason, error: str, detail: str, traceback: str) -> None:
        """Note that a row was given up: it becomes a dead letter."""
        self._leave((seq,))
        self._link.note(Bury(seq, reason, error, detail, traceback))

    async def settle(self) -> None:
        """Wait until everything noted before this call is committed, however long commits fail."""
        await self._link.ask(Barrier())

    @property
    def unsettled(self) -> Sequence[Seq]:
        """Acknowledged rows whose end is not committed yet; ``processed`` may note them again."""
        return tuple(self._acknowledged)

    # --- reading --------------------------------------------------------------------------------

    async def page(self, source: Source, after_seq: Seq, max_rows: int, max_bytes: int) -> list[Row]:
        """Return waiting rows of ``source`` after a row number, in arrival order.

        At most ``max_rows``, and no more bodies than ``max_bytes``, but one row at least if there is one.
        A row whose end was noted is not among them, whether or not that is committed yet.

        Raises:
            CommitFailedError: the file could not be read.
        """
        if self._closed:
            raise CommitFailedError(CLOSED)
        hidden = set(self._leaving)
        self._hidden.append(hidden)
        try:
            while rows := await self._reader.page(source, after_seq, max_rows, max_bytes):
                if visible := [row for row in rows if row.seq not in hidden]:
                    return visible
                after_seq = rows[-1].seq
            return []
        finally:
            self._hidden = [each for each in self._hidden if each is not hidden]

    def backlog(self, source: Source) -> Backlog:
        """Return how much waits for ``source``, as of the last commit."""
        return self._standings.backlog(source)

    def tally(self, source: Source) -> Tally:
        """Return what has become of all updates of ``source``, as of the last commit."""
        return self._standings.tally(source)

    def tallies(self) -> dict[Source, Tally]:
        """Return the tally of every source that ever had an update."""
        return self._standings.tallies()

    # --- failing commits ------------------------------------------------------------------------

    @property
    def stalled(self) -> str | None:
        """Why commits fail now, in one line; None while all is well."""
        return self._link.stalled

    def can_work(self) -> bool:
        """Return False once a defect has ended the thread that writes; a full disk does not end it."""
        return self._closed or not self._writer.has_died()

    def on_stall(self, callback: Callable[[str | None], None]) -> None:
        """Have ``callback`` called in the loop with each new value of ``stalled``."""
        self._link.on_stall(callback)

    # --- dead letters ---------------------------------------------------------------------------

    async def dead_letters(
        self, bot_id: BotId | None = None, limit: int = 100, before: int | None = None
    ) -> list[DeadLetter]:
        """Return letters, newest first, without their bodies.

        Args:
            bot_id: only those that arrived under this label.
            limit: the most that are returned.
            before: only those with a lower id, to page on.
        """
        if self._closed:
            raise CommitFailedError(CLOSED)
        return await self._reader.dead_letters(bot_id, limit, before)

    async def dead_letter(self, letter_id: int) -> DeadLetter | None:
        """Return one letter with its body, None if there is none."""
        if self._closed:
            raise CommitFailedError(CLOSED)
        return await self._reader.dead_letter(letter_id)

    async def replay(self, letter_ids: Iterable[int]) -> list[tuple[BotId, Row]]:
        """Move letters to the inbox's tail as new rows; return them with the labels they arrived under.

        The caller tells the router. A row belongs to its letter's ``source``, whatever bot has the label now.

        Raises:
            LetterError: one of them is not there, is no update, or waits already; none was replayed.
            CommitFailedError: nothing was written.
        """
        replayed: list[tuple[BotId, Row]] = await self._link.ask(Replay(tuple(letter_ids)))
        return replayed

    async def drop(self, letter_ids: Iterable[int]) -> int:
        """Purge letters; return how many of them there were.

        Raises:
            CommitFailedError: nothing was written.
        """
        dropped: int = await self._link.ask(Drop(tuple(letter_ids)))
        return dropped

    async def abandon(self, source: Source) -> int:
        """Purge all that waits of ``source``, and its dead letters; return how many updates that were.

        For a source that no bot of the configuration has: the router must not know its rows.

        Raises:
            CommitFailedError: nothing was purged.
        """
        abandoned: int = await self._link.ask(Abandon(source))
        return abandoned

    # --- small things to remember ---------------------------------------------------------------

    async def remember(self, key: str, value: bytes) -> None:
        """Keep a value under a key; ``recall`` has it at once, this returns when it is committed."""
        self._memory[key] = value
        await self._link.ask(Remember(key, value))

    async def forget(self, key: str) -> None:
        """Remove a key; ``recall`` lacks it at once, this returns when that is committed."""
        self._memory.pop(key, None)
        await self._link.ask(Remember(key, None))

    def recall_one(self, key: str) -> bytes | None:
        """Return what is remembered under ``key``, None if nothing is."""
        return self._memory.get(key)

    def recall(self, prefix: str) -> dict[str, bytes]:
        """Return what is remembered under keys that begin with ``prefix``."""
        return {key: value for key, value in self._memory.items() if key.startswith(prefix)}

    # --- inside ---------------------------------------------------------------------------------

    def _leave(self, seqs: Iterable[Seq]) -> None:
        self._leaving.update(seqs)
        for hidden in self._hidden:
            hidden.update(seqs)

    def _concluded(self, operation: Operation) -> None:
        match operation:
            case Processed(seqs):
                self._leaving.difference_update(seqs)
                self._acknowledged.difference_update(seqs)
            case Bury(seq):
                self._leaving.discard(seq)

    def _shut(self) -> int:
        # The connection that writes is the last to be closed, so that SQLite clears the log away.
        self._reader.close()
        return self._writer.stop()
