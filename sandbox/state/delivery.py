"""What is on its way from a bot's queue to its webhook."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from sandbox.policy.backoff import GONE_S, decide_pause
from sandbox.policy.connections import Connections
from sandbox.policy.lane import lane_of
from sandbox.policy.lanes import LaneQueue, Lanes
from sandbox.policy.outcome import GONE, Outcome
from sandbox.policy.queue import Entry, EntryState, UpdateQueue


@dataclass(frozen=True, slots=True)
class Attempt:
    """One update being sent; its JSON stays, whatever becomes of it in the queue meanwhile."""

    lane: LaneQueue
    connections: Connections
    entry: Entry
    body: bytes


@dataclass(slots=True)
class Delivery:
    """The delivery of one bot's updates; every method is told the time, in monotonic seconds.

    It lives on when the webhook is deleted: an update that is on its way then is confirmed if the webhook
    takes it, and if another webhook is set meanwhile, its lane waits for it.

    Attributes:
        wake: tells that something may be sent, or that nothing may be any more; it returns at once.
        on: a webhook is set.
        abandoned: the bot is forgotten; what is on its way is of no interest.
        ip_address: where the webhook was found, empty before it was looked for.
        blocked: the network between here and the webhook is cut.
        attempted: attempts begun since the first webhook was set; each ends ``succeeded`` or ``failed``.
        last_error_utc: when the last error was, in seconds since the epoch; a success does not clear it.
        gone_since: when the first of an unbroken row of 410 Gone came.
    """

    queue: UpdateQueue
    wake: Callable[[], None]
    on: bool = False
    abandoned: bool = False
    ip_address: str = ""
    blocked: bool = False
    lanes: Lanes = field(default_factory=Lanes)
    connections: Connections = field(default_factory=lambda: Connections(40))
    attempted: int = 0
    succeeded: int = 0
    failed: int = 0
    last_error_utc: int | None = None
    last_error_message: str | None = None
    gone_since: float | None = None
    _unread: deque[Entry] = field(default_factory=deque)
    _alone: int = 0

    def start(self, max_connections: int, ip_address: str) -> None:
        """Deliver everything that waits to a new address, or to the same one under other terms."""
        self.stop()
        self.on = True
        self.ip_address = ip_address
        # What is on its way keeps its old connection, which counts no more.
        self.connections = Connections(max_connections)
        under_way = self.lanes.on_their_way()
        self._unread.extend(entry for entry in self.queue.pending() if entry.number not in under_way)
        self.wake()

    def stop(self) -> None:
        """Deliver nothing more; the updates stay in the queue."""
        self.on = False
        self.lanes.clear()
        self._unread.clear()
        self.last_error_utc = self.last_error_message = self.gone_since = None
        self.wake()

    def abandon(self) -> None:
        """Deliver nothing more, and forget what is on its way."""
        self.abandoned = True
        self.stop()

    def add(self, entry: Entry) -> None:
        """Deliver an update that just came into the queue."""
        if self.on:
            self._unread.append(entry)
            self.wake()

    def begin(self, now: float, pause_scale: float) -> Attempt | None:
        """Return what is to be sent now over a connection that is taken for it, None if nothing is.

        Args:
            pause_scale: what the pauses between new connections are multiplied by.
        """
        if not self.on:
            return None
        self._read(now)
        self.connections.scale = pause_scale
        at = self.lanes.next_at()
        if at is None or at > now or not self.connections.acquire(len(self.lanes), now):
            return None
        lane = self.lanes.take()
        entry = lane.entries[0]
        entry.served += 1
        self.attempted += 1
        return Attempt(lane, self.connections, entry, entry.body)

    def next_wake_at(self, now: float) -> float | None:
        """Return when ``begin`` may have something that it does not have now, None if that takes an event."""
        at = self.lanes.next_at() if self.on else None
        if at is None or self.connections.busy < self.connections.open:
            return at
        at = max(at, self.connections.next_open_at(len(self.lanes), now))
        return None if at == inf else at

    def end(
        self,
        attempt: Attempt,
        outcome: Outcome,
        now: float,
        now_utc: float,
        chance: float,
        pause_scale: float,
    ) -> bool:
        """Note how an attempt ended.

        Args:
            now_utc: seconds since the epoch.
            chance: a random number in [0, 1).
            pause_scale: what the pause before the next attempt is multiplied by.

        Returns:
            whether the webhook is to be deleted, because it said for 23 h that it is gone.
        """
        attempt.connections.release(now, kept=outcome.kept)
        if outcome.error is None:
            self.succeeded += 1
            self.gone_since = None
            attempt.connections.last_success_at = now
            self.queue.confirm(attempt.entry)
            self.lanes.done(attempt.lane, now)
            return False
        self.failed += 1
        self._retry(attempt, outcome, now, chance, pause_scale)
        if not self.on:
            return False
        self.last_error_utc, self.last_error_message = int(now_utc), outcome.error
        return self._is_gone(outcome, now)

    def _retry(
        self, attempt: Attempt, outcome: Outcome, now: float, chance: float, pause_scale: float
    ) -> None:
        failures, pause_s = decide_pause(attempt.lane.failures, outcome.retry_after_s, chance)
        at = now + pause_s * pause_scale
        if at > attempt.entry.expires_at:
            self.queue.drop_expired(attempt.entry)
        if not self.on or attempt.entry.state is not EntryState.PENDING:
            self.lanes.done(attempt.lane, now)
        else:
            self.lanes.retry(attempt.lane, failures, at)

    def _is_gone(self, outcome: Outcome, now: float) -> bool:
        if outcome.status != GONE:
            if outcome.status is not None:
                self.gone_since = None
            return False
        if self.gone_since is None:
            self.gone_since = now
        return now > self.gone_since + GONE_S

    def _read(self, now: float) -> None:
        if not self._unread:
            return
        self.queue.expire(now)
        # So many blocked lanes hold back all others, on Telegram too.
        most = 2 * self.connections.limit
        while self._unread and len(self.lanes) < most:
            entry = self._unread.popleft()
            if entry.state is EntryState.PENDING:
                self.lanes.add(lane_of(entry.body) or self._lane_of_its_own(), entry, now)

    def _lane_of_its_own(self) -> tuple[str, int]:
        self._alone += 1
        return ("", self._alone)
