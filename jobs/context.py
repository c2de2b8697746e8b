"""What a handler is told about its job, and what it can tell others while it runs.

Runs in: job worker | job child.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the job is; anything JSON can say."""

    value: Any


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for those who look at the job."""

    text: str


Report = Progress | LogLine


def _no_limits(key: str | None) -> Awaitable[None]:
    raise RuntimeError("wait_for_turn() works in a job worker only; give the context a wait of your own")


@dataclass(frozen=True, slots=True)
class JobContext:
    """One attempt at a job. What it reports is stored in order, before the end; reporting returns at once.

    Args:
        job_id: the job's id, the same in every attempt.
        queue: where it came from.
        name: its type.
        attempt: 1 for the first.
        attempts: how many there are.
    """

    job_id: str
    queue: str
    name: str
    attempt: int
    attempts: int
    _report: Callable[[Report], None]
    _wait: Callable[[str | None], Awaitable[None]] = _no_limits

    def progress(self, value: Any) -> None:
        """Say how far the job is: a number, or anything JSON can say.

        Raises:
            TypeError, ValueError: JSON cannot say it.
        """
        json.dumps(value, allow_nan=False)  # here, where the mistake is
        self._report(Progress(value))

    def log(self, line: str) -> None:
        """Add a line to the job's own log, which keeps the last 1000 and is shown by Bull Board."""
        self._report(LogLine(line))

    def wait_for_turn(self, key: str | None = None) -> Awaitable[None]:
        """Wait in place until one more call is within the limit, and count it.

        ``await`` it in an ``async def`` handler; in a ``def`` handler the call itself waits. The attempt's
        timeout goes on meanwhile. It goes before jobs that have not begun.

        Args:
            key: whose call it is; None for the job's own, which its type's ``limited_by`` names.

        Raises:
            ValueError: there is no key, as the type has no ``limited_by``.
        """
        return self._wait(key)
