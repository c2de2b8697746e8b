"""How a task stands, in the words that callers are told.

Pure.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: For how long the end of a task is kept, in seconds.
KEPT_S = 86400.0


class Status(StrEnum):
    """Of a task."""

    #: Nobody works on it now: it waits for its first attempt, or for another one.
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Whether nothing follows it by itself."""
        return self in (Status.COMPLETED, Status.FAILED)


_OF_STATE = {"active": Status.PROCESSING, "completed": Status.COMPLETED, "failed": Status.FAILED}


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as it stands.

    Args:
        body_hash: of the request that it was accepted from; empty if it came in another way.
        result: of a completed one.
        error: of a failed one.
    """

    status: Status
    body_hash: str
    result: Any = None
    error: str | None = None


def status_of(state: str) -> Status:
    """Return what a state of the engine means."""
    return _OF_STATE.get(state, Status.QUEUED)


def error_of(text: str) -> str:
    """Return an error without the name of its class, which says nothing to a caller."""
    name, colon, rest = text.partition(": ")
    return rest if colon and name.isidentifier() and name.endswith(("Error", "Exception")) else text
