"""The updates that wait for one webhook: in each lane one after the other, the lanes side by side."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from sandbox.policy.backoff import Failures
from sandbox.policy.lane import Lane
from sandbox.policy.queue import Entry, EntryState

NO_FAILURES = Failures()


@dataclass(slots=True)
class LaneQueue:
    """One lane; its first update is the one that is sent, or on its way if the lane is ``busy``."""

    key: Lane
    entries: deque[Entry] = field(default_factory=deque)
    failures: Failures = NO_FAILURES
    busy: bool = False


class Lanes:
    """Updates by lane; a lane's next one is taken when the one before is done."""

    __slots__ = ("_lanes", "_turns", "_waiting")

    def __init__(self) -> None:
        self._lanes: dict[Lane, LaneQueue] = {}
        #: When the first update of each lane that is not busy may be sent, in monotonic seconds.
        self._waiting: list[tuple[float, int, LaneQueue]] = []
        self._turns = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, key: Lane, entry: Entry, now: float) -> None:
        """Put an update at the end of its lane."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = LaneQueue(key)
            self._wait(lane, now)
        lane.entries.append(entry)

    def next_at(self) -> float | None:
        """Return when the next update may be sent, None while every lane is empty or busy."""
        while self._waiting:
            at, _, lane = self._waiting[0]
            self._skip_gone(lane)
            if lane.entries:
                return at
            heappop(self._waiting)
            del self._lanes[lane.key]
        return None

    def take(self) -> LaneQueue:
        """Return the lane that ``next_at`` is about; it is busy until ``done`` or ``retry``."""
        lane = heappop(self._waiting)[2]
        lane.busy = True
        return lane

    def done(self, lane: LaneQueue, now: float) -> None:
        """Go on with a lane whose first update need not be sent any more."""
        lane.entries.popleft()
        lane.failures = NO_FAILURES
        self._go_on(lane, now)

    def retry(self, lane: LaneQueue, failures: Failures, at: float) -> None:
        """Send the first update of a lane again at ``at``; the lane waits for it."""
        lane.failures = failures
        self._go_on(lane, at)

    def clear(self) -> None:
        """Forget every update but those on their way."""
        busy = {key: lane for key, lane in self._lanes.items() if lane.busy}
        for lane in busy.values():
            first = lane.entries[0]
            lane.entries.clear()
            lane.entries.append(first)
        self._lanes = busy
        self._waiting.clear()

    def on_their_way(self) -> set[int]:
        """Return the numbers of the updates that are being sent."""
        return {lane.entries[0].number for lane in self._lanes.values() if lane.busy}

    def _go_on(self, lane: LaneQueue, at: float) -> None:
        lane.busy = False
        if lane.entries:
            self._wait(lane, at)
        else:
            del self._lanes[lane.key]

    def _wait(self, lane: LaneQueue, at: float) -> None:
        self._turns += 1
        heappush(self._waiting, (at, self._turns, lane))

    @staticmethod
    def _skip_gone(lane: LaneQueue) -> None:
        while lane.entries and lane.entries[0].state is not EntryState.PENDING:
            lane.entries.popleft()
            lane.failures = NO_FAILURES
