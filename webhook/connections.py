"""Keeps the open connections, and ends those whose clients ask too much of them.

Runs in: master.
"""

import asyncio
from typing import NoReturn

from brama.clock import Clock
from brama.log import get_logger
from webhook.connection import Connection
from webhook.policy.outcomes import Outcome
from webhook.policy.pacing import LOG_EVERY_S, Pace
from webhook.settings import Bounds
from webhook.tallies import Tallies

#: Between two looks at every connection; 4096 of them take a millisecond.
_SWEEP_EVERY_S = 1.0
#: Between two looks at connections that are not quiet yet.
_QUIET_POLL_S = 0.005
log = get_logger(__name__)


class Connections:
    """All that are open.

    Args:
        bounds: how many there may be, and how long each may wait.
        tallies: where requests are counted that are no HTTP.
        clock: monotonic seconds.
    """

    def __init__(self, bounds: Bounds, tallies: Tallies, clock: Clock) -> None:
        self._bounds = bounds
        self._tallies = tallies
        self._clock = clock
        self._failures = Pace(LOG_EVERY_S)
        self._opening: set[Connection] = set()
        self._open: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open) + len(self._opening)

    def opening(self, connection: Connection) -> None:
        """Keep a place for a connection that is being opened, as in a handshake."""
        self._opening.add(connection)

    def opened(self, connection: Connection) -> None:
        """Keep a connection that has begun."""
        self._opening.discard(connection)
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """Let a connection go that has ended, or never began."""
        self._opening.discard(connection)
        self._open.discard(connection)

    def refused(self, outcome: Outcome) -> None:
        """Count a request that came to no handler."""
        self._tallies.count(None, outcome, self._clock())

    def failed(self, error: object) -> None:
        """Log a defect that ended a connection, by its kind alone: its text may quote what was sent."""
        if (more := self._failures.take(self._clock())) is not None:
            log.error("webhook.connection_failed", error=type(error).__name__, more=more)

    def make_room(self) -> bool:
        """Return whether one more may be opened, after ending the one that has been idle longest if need be.

        So that somebody who opens thousands and says nothing shuts nobody out.
        """
        if len(self) < self._bounds.max_connections:
            return True
        idle = [connection for connection in self._open if not connection.is_serving]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.idle_since)
        self._open.discard(longest)  # its end is told later, and the next newcomer may not wait for that
        longest.abort()
        return True

    async def hand_over(self, limit_s: float) -> list[int]:
        """Let requests that have begun finish, then give the clients away; return their file descriptors.

        Nothing more may be accepted; what is being opened is waited for. A connection with TLS is closed once
        it is quiet, and one that is not quiet after ``limit_s`` seconds is ended.
        """
        deadline = self._clock() + limit_s
        while True:
            for connection in self._open:
                connection.hold()
            quiet = [each for each in self._open if each.is_quiet]
            if len(quiet) == len(self) or self._clock() >= deadline:
                break
            await asyncio.sleep(_QUIET_POLL_S)
        for connection in self._open.difference(quiet):
            connection.abort()
        return [fd for each in quiet if (fd := each.release()) is not None]

    def end_overdue(self) -> None:
        """End each connection whose client has kept it waiting too long."""
        now = self._clock()
        for connection in [each for each in self._open if each.is_overdue(now)]:
            connection.abort()

    async def sweep(self) -> NoReturn:
        """Do so for ever."""
        while True:
            await asyncio.sleep(min(_SWEEP_EVERY_S, self._bounds.head_s / 4))
            self.end_overdue()
