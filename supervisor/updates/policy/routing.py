"""Decides which of one bot's updates its worker gets next.

Pure: no clock, no pipe, no database. The shell around it (supervisor/updates/router.py) says what happened
and sends what it hands out. Four rules:

- arrival order, at most ``max_in_flight`` updates and ``max_in_flight_bytes`` that are not yet released; a
  larger update goes alone;
- an update that waits for a retry holds back later ones of its own lane only;
- after a death, what had begun runs one at a time, alone, before anything else;
- only an update that was alone at a death is charged with it.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from brama.ids import Seq
from supervisor.updates.model import Row

#: A suspect that is released but still busy in the background stays alone this long. Then the next may join
#: it: a handler that waits for its user's next message must not hold the bot for ever.
SUSPECT_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be in a worker's hands and not released: updates, and bytes of their JSON."""

    max_in_flight: int
    max_in_flight_bytes: int


@dataclass(slots=True, eq=False)
class Entry:
    """One update on its way to done. Moments are in monotonic seconds; ``not_before`` 0 is now."""

    row: Row
    attempts: int
    charges: int
    not_before: float = 0.0
    delivered_at: float = 0.0
    begun: bool = False
    released_at: float | None = None

    @property
    def lane(self) -> str:
        """What later updates share with this one: its chat, else its user, else nothing."""
        return self.row.lane or f"#{self.row.seq}"


class Death(NamedTuple):
    """What a death means: the update charged with it, if any, and whether that was its last charge."""

    charged: Entry | None
    poisoned: bool


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many updates a worker holds unacknowledged, and when (monotonic s) the oldest was handed over."""

    count: int
    oldest_at: float | None


@dataclass(frozen=True, slots=True)
class Held:
    """An update in a worker's hands when its route is handed over; moments in monotonic seconds."""

    seq: int
    delivered_at: float
    begun: bool
    released_at: float | None


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """What a route knows that its inbox does not, by row numbers.

    Attributes:
        held: what the worker has, in the order it was handed over.
        alone: the suspect that runs alone now.
        suspects: those that are to run alone, in order.
        blocking: those the worker has that hold back later ones of their lanes.
        not_before: until when (monotonic seconds) updates wait for a retry.
    """

    held: tuple[Held, ...] = ()
    alone: int | None = None
    suspects: tuple[int, ...] = ()
    blocking: tuple[int, ...] = ()
    not_before: dict[int, float] = field(default_factory=dict)

    @property
    def last_seq(self) -> int:
        """The highest row number it speaks of, 0 if it speaks of none."""
        held = (each.seq for each in self.held)
        return max((0, *held, *self.suspects, *self.not_before))


class Route:
    """The updates of one bot between its inbox and its worker.

    Args:
        window: bounds of what is in flight.
        max_charges: deaths alone after which an update is poison (``delivery.attempts``).
    """

    def __init__(self, window: Window, max_charges: int) -> None:
        self._window = window
        self._max_charges = max_charges
        self._waiting: deque[Entry] = deque()
        self._suspects: deque[Entry] = deque()
        self._alone: Entry | None = None
        self._in_flight: dict[Seq, Entry] = {}
        self._unreleased = 0
        self._unreleased_bytes = 0
        self._blockers: dict[str, Entry] = {}
        self._held: dict[str, list[Entry]] = {}

    def retune(self, window: Window, max_charges: int) -> None:
        """Apply other bounds from the next update on."""
        self._window = window
        self._max_charges = max_charges

    @property
    def idle_rows(self) -> int:
        """Updates in memory that no worker holds."""
        held = sum(len(entries) for entries in self._held.values())
        blocking = sum(1 for entry in self._blockers.values() if entry.row.seq not in self._in_flight)
        return len(self._waiting) + len(self._suspects) + held + blocking

    @property
    def in_flight(self) -> InFlight:
        """What the worker holds unacknowledged."""
        for entry in self._in_flight.values():
            return InFlight(len(self._in_flight), entry.delivered_at)
        return InFlight(0, None)

    def next_wake_at(self) -> float | None:
        """When ``take`` may give more without anything else happening, in monotonic seconds."""
        moments = [e.not_before for e in self._blockers.values() if e.row.seq not in self._in_flight]
        if self._alone is not None and self._alone.released_at is not None:
            moments.append(self._alone.released_at + SUSPECT_GRACE_S)
        return min(moments, default=None)

    def find(self, seq: int) -> Entry | None:
        """Return the update in flight with this row number."""
        return self._in_flight.get(Seq(seq))

    # --- towards the worker -------------------------------------------------------------------

    def offer(self, rows: Iterable[Row]) -> None:
        """Queue rows from the inbox, in arrival order, behind what waits already."""
        self._waiting.extend(Entry(row, row.attempts, row.charges) for row in rows)

    def take(self, now: float) -> list[Entry]:
        """Return what to hand to the worker now, in order; from here on it is in flight.

        Args:
            now: monotonic seconds.
        """
        alone = self._alone
        if alone is not None and alone.released_at is not None and now >= alone.released_at + SUSPECT_GRACE_S:
            self._alone = None
        if self._suspects or self._alone is not None:
            return self._take_suspect(now)
        due = [e for e in self._blockers.values() if e.not_before <= now and e.row.seq not in self._in_flight]
        taken = [self._hand_over(entry, now) for entry in due if self._fits(entry)]
        while self._waiting:
            entry = self._waiting[0]
            if entry.lane in self._blockers:
                insort(self._held.setdefault(entry.lane, []), self._waiting.popleft(), key=_arrival)
            elif entry.not_before > now:
                self._blockers[entry.lane] = self._waiting.popleft()
            elif self._fits(entry):
                taken.append(self._hand_over(self._waiting.popleft(), now))
            else:
                break
        return taken

    def _take_suspect(self, now: float) -> list[Entry]:
        if self._alone is not None or self._unreleased:
            return []
        self._alone = self._suspects.popleft()
        return [self._hand_over(self._alone, now)]

    def _fits(self, entry: Entry) -> bool:
        bytes_after = self._unreleased_bytes + len(entry.row.raw)
        return not self._unreleased or (
            self._unreleased < self._window.max_in_flight and bytes_after <= self._window.max_in_flight_bytes
        )

    def _hand_over(self, entry: Entry, now: float) -> Entry:
        entry.delivered_at = now
        entry.begun = False
        entry.released_at = None
        self._in_flight[entry.row.seq] = entry
        self._unreleased += 1
        self._unreleased_bytes += len(entry.row.raw)
        return entry

    # --- what the worker said; row numbers that are not in flight are ignored -------------------

    def begun(self, seqs: Sequence[int]) -> None:
        """These are being dispatched to handlers."""
        for seq in seqs:
            if (entry := self.find(seq)) is not None:
                entry.begun = True

    def released(self, seqs: Sequence[int], now: float) -> None:
        """Blocking handlers of these are through at ``now`` (monotonic s): others may take their place."""
        for seq in seqs:
            if (entry := self.find(seq)) is not None and entry.released_at is None:
                entry.begun = True
                self._make_room(entry)
                entry.released_at = now
                self._unblock(entry)

    def finish(self, seq: int) -> Entry | None:
        """An update in flight has reached its end, good or bad: forget it; return it."""
        entry = self._leave(seq)
        if entry is not None:
            self._unblock(entry)
        return entry

    def retry(self, seq: int, *, not_before: float, attempts: int) -> None:
        """Deliver an update in flight again, no sooner than ``not_before`` (monotonic s)."""
        if (entry := self._leave(seq)) is not None:
            entry.not_before = not_before
            entry.attempts = attempts
            self._requeue([entry])

    def returned(self, seqs: Sequence[int]) -> None:
        """The worker gave these back before they began."""
        self._requeue([entry for seq in seqs if (entry := self._leave(seq)) is not None])

    def worker_gone(self, *, commanded: bool) -> Death:
        """The worker is dead and all it said has been heard: ready its updates for the next one.

        Args:
            commanded: an operator or the supervisor asked for the end, so nobody is charged.
        """
        alone = self._alone
        entries = [entry for seq in list(self._in_flight) if (entry := self._leave(seq)) is not None]
        begun = [entry for entry in entries if entry.begun]
        charged = None
        if not commanded and len(begun) == 1 and (begun[0] is alone or len(entries) == 1):
            charged = begun[0]
            charged.charges += 1
        poisoned = charged is not None and charged.charges >= self._max_charges
        if poisoned and charged is not None:
            self._unblock(charged)
            entries.remove(charged)
        # Alone at a commanded end, it has not proven itself yet and stays a suspect.
        suspects = [entry for entry in entries if (entry is alone if commanded else entry.begun)]
        self._requeue([entry for entry in entries if entry not in suspects])
        for entry in suspects:
            self._unblock(entry)
        self._suspects = deque(sorted([*self._suspects, *suspects], key=_arrival))
        return Death(charged, poisoned)

    # --- a change of masters --------------------------------------------------------------------

    def hand_over(self) -> RouteRecord:
        """Return what the next master's route has to know."""
        return RouteRecord(
            held=tuple(
                Held(seq, entry.delivered_at, entry.begun, entry.released_at)
                for seq, entry in self._in_flight.items()
            ),
            alone=None if self._alone is None else self._alone.row.seq,
            suspects=tuple(entry.row.seq for entry in self._suspects),
            blocking=tuple(
                entry.row.seq for entry in self._blockers.values() if entry.row.seq in self._in_flight
            ),
            not_before={
                entry.row.seq: entry.not_before
                for entry in (*self._blockers.values(), *self._waiting)
                if entry.not_before and entry.row.seq not in self._in_flight
            },
        )

    def take_over(self, record: RouteRecord, rows: Iterable[Row]) -> None:
        """Begin where another route has ended; to be called before anything else.

        Args:
            record: what that one knew.
            rows: all that wait in the inbox up to ``record.last_seq``, in arrival order.
        """
        entries = {row.seq: Entry(row, row.attempts, row.charges) for row in rows}
        for held in record.held:
            if (entry := entries.pop(Seq(held.seq), None)) is not None:
                self._hand_over(entry, held.delivered_at)
                entry.begun = held.begun
                if held.released_at is not None:
                    self._make_room(entry)
                    entry.released_at = held.released_at
                if held.seq == record.alone:
                    self._alone = entry
                if held.seq in record.blocking:
                    self._blockers[entry.lane] = entry
        self._suspects.extend(entries.pop(Seq(seq)) for seq in record.suspects if Seq(seq) in entries)
        for seq, entry in entries.items():
            entry.not_before = record.not_before.get(seq, 0.0)
            self._waiting.append(entry)

    # --- bookkeeping --------------------------------------------------------------------------

    def _leave(self, seq: int) -> Entry | None:
        entry = self._in_flight.pop(Seq(seq), None)
        if entry is not None:
            self._make_room(entry)
            if entry is self._alone:
                self._alone = None
        return entry

    def _make_room(self, entry: Entry) -> None:
        if entry.released_at is None:
            self._unreleased -= 1
            self._unreleased_bytes -= len(entry.row.raw)

    def _unblock(self, entry: Entry) -> None:
        """Let the lane go on if ``entry`` holds it: what waited goes to the front."""
        if self._blockers.get(entry.lane) is entry:
            del self._blockers[entry.lane]
            self._waiting.extendleft(reversed(self._held.pop(entry.lane, [])))

    def _requeue(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._unblock(entry)
        self._waiting.extendleft(sorted(entries, key=_arrival, reverse=True))


def _arrival(entry: Entry) -> Seq:
    return entry.row.seq
