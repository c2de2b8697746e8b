"""What a handler is told about its job, and what it can tell others while it runs.

Runs in: job worker | job child.
"""

import json
from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class JobContext:
    """One attempt at a job. Its methods return at once; what they report is stored in order, before the end.

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
