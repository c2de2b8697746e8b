"""The queue of one bot's updates, with the offset rules of ``getUpdates``.

The rules are those of Telegram's open server (``TQueue.cpp`` and ``Client::do_get_updates``): an offset
confirms every lower id, a negative one keeps only the newest updates, and one more than ten past the tail is
not believed, so it confirms nothing and is answered from the head. A webhook confirms one update at a time,
wherever it stands.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum
from math import inf

#: An offset this far past the next id is taken for one of another id sequence.
FUTURE_SLACK = 10
#: Telegram cuts a batch when the bodies, each with 50 bytes of overhead, pass this many bytes.
BATCH_BYTES = 1 << 22
ENTRY_OVERHEAD_BYTES = 50
#: How many updates a queue remembers after they left it.
HISTORY = 1_000_000


class EntryState(StrEnum):
    """What became of an update."""

    #: Waits in the queue.
    PENDING = "pending"
    #: An offset passed it, the webhook took it, or ``drop_pending_updates`` dropped it.
    CONFIRMED = "confirmed"
    #: Its time ran out first.
    EXPIRED = "expired"


@dataclass(slots=True)
class Entry:
    """One update in the queue; ``body`` is the element's JSON as served, empty once it left the queue.

    Attributes:
        number: its place among all updates of the queue, by arrival.
        served: how often it was in the answer to a ``getUpdates``, or on its way to the webhook.
    """

    number: int
    update_id: int
    body: bytes
    expires_at: float
    state: EntryState = EntryState.PENDING
    served: int = 0


class UpdateQueue:
    """Updates of one bot in order of arrival; ids ascend unless a test gives its own."""

    __slots__ = (
        "_arrived",
        "_ascending",
        "_next_expiry_at",
        "_pending",
        "confirmed",
        "expired",
        "history",
        "last_update_id",
        "next_id",
    )

    def __init__(self, first_id: int) -> None:
        self.next_id = first_id
        self.last_update_id: int | None = None
        self.confirmed = 0
        self.expired = 0
        self.history: deque[Entry] = deque(maxlen=HISTORY)
        self._arrived = 0
        self._pending: OrderedDict[int, Entry] = OrderedDict()
        self._ascending = True
        self._next_expiry_at = inf

    def __len__(self) -> int:
        return len(self._pending)

    def append(self, update_id: int, body: bytes, expires_at: float) -> Entry:
        """Put an update at the tail.

        Args:
            update_id: normally ``next_id``; a higher one moves the sequence on, a lower one leaves it.
            body: the element of the ``result`` array, verbatim.
            expires_at: monotonic seconds.
        """
        if self._pending and update_id < self._pending[next(reversed(self._pending))].update_id:
            self._ascending = False
        self._arrived += 1
        entry = Entry(self._arrived, update_id, body, expires_at)
        self._pending[entry.number] = entry
        self.history.append(entry)
        self._next_expiry_at = min(self._next_expiry_at, expires_at)
        self.last_update_id = update_id
        self.next_id = max(self.next_id, update_id + 1)
        return entry

    def take(self, offset: int, limit: int, now: float) -> list[Entry]:
        """Confirm what ``offset`` confirms and return the batch that answers it, which stays queued."""
        self.expire(now)
        if offset < 0:
            self._keep_newest(-offset)
        elif 0 < offset <= self.next_id + FUTURE_SLACK:
            self._confirm_below(offset)
        batch: list[Entry] = []
        left_bytes = BATCH_BYTES
        for entry in self._pending.values():
            left_bytes -= ENTRY_OVERHEAD_BYTES + len(entry.body)
            # An update over the limit is served alone: tests put such ones here, Telegram has none.
            if len(batch) == limit or (left_bytes <= 0 and batch):
                break
            entry.served += 1
            batch.append(entry)
        return batch

    def pending(self) -> list[Entry]:
        """Return what waits, in order of arrival."""
        return list(self._pending.values())

    def confirm(self, entry: Entry) -> None:
        """Confirm one update, wherever it stands; one that left the queue before stays as it is."""
        if self._pending.pop(entry.number, None) is not None:
            self._confirm(entry)

    def drop_expired(self, entry: Entry) -> None:
        """Drop one update before its time, because it would run out before anything can be done with it."""
        if self._pending.pop(entry.number, None) is not None:
            self._expire(entry)

    def clear(self) -> None:
        """Drop everything pending, as ``drop_pending_updates`` does."""
        self._keep_newest(0)

    def expire(self, now: float) -> None:
        """Drop what ran out by ``now``; kinds live for different times, so any entry can be the one."""
        if now < self._next_expiry_at:
            return
        for entry in self.pending():
            if entry.expires_at <= now:
                del self._pending[entry.number]
                self._expire(entry)
        self._next_expiry_at = min((entry.expires_at for entry in self._pending.values()), default=inf)

    def _confirm_below(self, offset: int) -> None:
        pending = self._pending
        if self._ascending:
            while pending:
                first = next(iter(pending.values()))
                if first.update_id >= offset:
                    break
                pending.popitem(last=False)
                self._confirm(first)
        else:
            for entry in self.pending():
                if entry.update_id < offset:
                    del pending[entry.number]
                    self._confirm(entry)
        self._ascending = self._ascending or not pending

    def _keep_newest(self, count: int) -> None:
        while len(self._pending) > count:
            _, entry = self._pending.popitem(last=False)
            self._confirm(entry)
        self._ascending = self._ascending or not self._pending

    def _confirm(self, entry: Entry) -> None:
        self._leave(entry, EntryState.CONFIRMED)
        self.confirmed += 1

    def _expire(self, entry: Entry) -> None:
        self._leave(entry, EntryState.EXPIRED)
        self.expired += 1

    @staticmethod
    def _leave(entry: Entry, state: EntryState) -> None:
        entry.state = state
        entry.body = b""
