"""The books of the updates in this worker's hands: queued, begun, released, done.

Pure bookkeeping: what happens to an update is told from outside, what follows is told to the Reports. An
update is done when its dispatch has ended and every task that was started for it has ended too.

Runs in: worker.
"""

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from enum import IntEnum
from typing import NamedTuple, Protocol

from bot_worker.runtime.policy.failure import Failure


class State(IntEnum):
    """How far an update has come; it only moves on."""

    #: In this worker's hands, no handler has seen it.
    QUEUED = 0
    #: Handlers have it.
    BEGUN = 1
    #: Blocking handlers and error handlers are through; tasks may still run.
    RELEASED = 2
    #: All is over; its end was reported.
    DONE = 3
    #: Given back before it began.
    RETURNED = 4
    #: Cut off while it ran: neither done nor failed, so the next worker gets it again.
    ABANDONED = 5


class Place(NamedTuple):
    """Where an update, or a job of python-telegram-bot's JobQueue, comes from.

    ``update_id`` is Telegram's: of the update itself, or of the one that led to the result of a job.
    """

    chat_id: int | None = None
    user_id: int | None = None
    update_id: int | None = None


NOWHERE = Place()


class Entry:
    """One update from the master; ``update`` is python-telegram-bot's object, None once all is over."""

    __slots__ = (
        "dispatched",
        "enqueued",
        "failure",
        "holds",
        "place",
        "seq",
        "state",
        "update",
        "update_id",
        "wrote",
    )

    def __init__(self, seq: int, update: object, update_id: int = 0) -> None:
        self.seq = seq
        self.update = update
        self.update_id = update_id
        self.state = State.QUEUED
        self.holds = 0
        self.failure: Failure | None = None
        self.wrote = False
        #: Whether the application has taken it from its queue; bot code may put it there again.
        self.dispatched = False
        #: Where it comes from; known when handlers get it.
        self.place = NOWHERE
        #: How many jobs of each type were enqueued for it.
        self.enqueued: Counter[str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether something may still be noted for it."""
        return self.state <= State.RELEASED


#: The update whose handlers run in this context; tasks inherit it.
current_entry: ContextVar[Entry | None] = ContextVar("brama_current_entry", default=None)


class Reports(Protocol):
    """Where the moments of an update are reported."""

    def begun(self, seq: int) -> None:
        """Handlers get it with the next statement."""

    def released(self, seq: int) -> None:
        """The next may start."""

    def done(self, entry: Entry) -> None:
        """It is over, well or with ``entry.failure``."""


class Tracker:
    """Knows every update that was handed to the application and is not over."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._entries: dict[int, Entry] = {}
        self._given_back: dict[int, Entry] = {}
        self._on_idle: list[Callable[[], None]] = []
        self.processed = 0
        self.failed = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, seq: int, update: object, update_id: int = 0, *, begun: bool = False) -> Entry:
        """Take ``update`` into the books; it is recognised by identity from now on.

        ``begun``: that it begins was reported already.
        """
        entry = self._entries[id(update)] = Entry(seq, update, update_id)
        if begun:
            entry.state = State.BEGUN
        return entry

    def find(self, update: object) -> Entry | None:
        """Return the entry of ``update`` if it is one of the master's that is open or was given back."""
        return self._entries.get(id(update)) or self._given_back.get(id(update))

    def of(self, update: object) -> Entry | None:
        """Return the open entry that work for ``update``, done in this context, belongs to."""
        entry = self._entries.get(id(update)) or current_entry.get()
        return entry if entry is not None and entry.is_open else None

    # --- the moments of one update --------------------------------------------------------------

    def begin(self, entry: Entry) -> bool:
        """Handlers are about to get it; False if it was given back and must not be dispatched."""
        if entry.state is State.QUEUED:
            entry.state = State.BEGUN
            self._reports.begun(entry.seq)
        return entry.state is State.BEGUN

    def release(self, entry: Entry) -> None:
        """Its dispatch has ended."""
        if entry.state is State.BEGUN:
            entry.state = State.RELEASED
            self._reports.released(entry.seq)
            if not entry.holds:
                self._finish(entry)

    def hold(self, entry: Entry) -> None:
        """A task was started for it."""
        entry.holds += 1

    def drop(self, entry: Entry) -> None:
        """Such a task has ended."""
        entry.holds -= 1
        if not entry.holds and entry.state is State.RELEASED:
            self._finish(entry)

    def fail(self, entry: Entry, error: BaseException) -> None:
        """No error handler of the bot took ``error``; the first such error is the one reported."""
        if entry.failure is None and entry.is_open:
            entry.failure = Failure.of(error)

    def abandon(self, entry: Entry) -> None:
        """It was cut off: report nothing, now or later."""
        if entry.is_open:
            self._close(entry, State.ABANDONED)

    def skip(self, entry: Entry) -> None:
        """It came to its end without dispatch: undecodable, or dropped by the bot's own update processor."""
        self.begin(entry)
        self.release(entry)

    def give_back(self) -> list[int]:
        """Close what has not begun; return the row numbers, oldest first."""
        queued = {key: entry for key, entry in self._entries.items() if entry.state is State.QUEUED}
        self._given_back |= queued  # the application's queue still holds them
        for key, entry in queued.items():
            self._entries.pop(key)
            entry.state = State.RETURNED
        return [entry.seq for entry in queued.values()]

    # --- waiting ----------------------------------------------------------------------------------

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once nothing is open: now, or at the end of the last one."""
        if self._entries:
            self._on_idle.append(callback)
        else:
            callback()

    def _finish(self, entry: Entry) -> None:
        if entry.failure is None:
            self.processed += 1
        else:
            self.failed += 1
        self._reports.done(entry)
        self._close(entry, State.DONE)

    def _close(self, entry: Entry, state: State) -> None:
        entry.state = state
        self._entries.pop(id(entry.update), None)
        entry.update = None
        if not self._entries and self._on_idle:
            callbacks, self._on_idle = self._on_idle, []
            for callback in callbacks:
                callback()
