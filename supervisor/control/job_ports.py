"""What the control API needs from the job queue. The queue's own classes satisfy it without knowing of it.

Runs in: master | command line.
"""

from collections.abc import Sequence
from typing import Any, Protocol


class QueueFacts(Protocol):
    """One queue as it is now; ``completed`` and ``failed`` jobs are those still kept."""

    @property
    def name(self) -> str: ...
    @property
    def waiting(self) -> int: ...
    @property
    def active(self) -> int: ...
    @property
    def delayed(self) -> int: ...
    @property
    def completed(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def is_paused(self) -> bool: ...
    @property
    def dead_letters(self) -> int: ...
    @property
    def outbox(self) -> int: ...


class LetterFacts(Protocol):
    """A job that failed for good. ``attempt`` was its last; times are in seconds since the epoch."""

    @property
    def letter_id(self) -> int: ...
    @property
    def queue(self) -> str: ...
    @property
    def job_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def cause(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def created_utc(self) -> float: ...
    @property
    def died_utc(self) -> float: ...
    @property
    def resolved_utc(self) -> float | None: ...
    @property
    def note(self) -> str: ...


class ListedLetter(LetterFacts, Protocol):
    """A letter in a list: of the payload it has the size alone."""

    @property
    def size_bytes(self) -> int: ...


class WholeLetter(LetterFacts, Protocol):
    """A letter with all that is known of it."""

    @property
    def stack(self) -> str: ...
    @property
    def payload(self) -> Any: ...


class JobFacts(Protocol):
    """A job of the engine as it is now; ``finished_utc_ms`` is 0 before its end."""

    @property
    def queue(self) -> str: ...
    @property
    def job_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def data(self) -> Any: ...
    @property
    def state(self) -> str: ...
    @property
    def attempts_made(self) -> int: ...
    @property
    def progress(self) -> Any: ...
    @property
    def result(self) -> Any: ...
    @property
    def error(self) -> str: ...
    @property
    def stack(self) -> str: ...
    @property
    def created_utc_ms(self) -> int: ...
    @property
    def finished_utc_ms(self) -> int: ...


class TallyFacts(Protocol):
    """To how many letters something was done, and a line for each to which it could not be."""

    @property
    def count(self) -> int: ...
    @property
    def problems(self) -> tuple[str, ...]: ...


class Jobs(Protocol):
    """The job queue, as operators see it. Methods raise BramaError if they cannot be carried out."""

    async def queues(self) -> Sequence[QueueFacts]:
        """Return every queue that is known."""

    async def letters(
        self,
        *,
        queue: str | None,
        name: str | None,
        cause: str | None,
        include_resolved: bool,
        limit: int,
        before: int | None,
    ) -> Sequence[ListedLetter]:
        """Return at most ``limit`` letters, youngest first, with ids below ``before``; None: any."""

    async def letter(self, letter_id: int) -> WholeLetter | None:
        """Return one letter."""

    async def job(self, queue: str, job_id: str) -> JobFacts | None:
        """Return a job as it is now."""

    async def retry(self, letter_ids: Sequence[int]) -> TallyFacts:
        """Have the jobs of these letters begin again with all their attempts."""

    async def resolve(self, letter_ids: Sequence[int], note: str) -> TallyFacts:
        """Close letters with a note; their jobs stay as they are."""

    async def clean(self, older_than_s: float) -> tuple[int, bool]:
        """Forget a batch of letters resolved before; return how many, and whether there may be more."""

    async def pause(self, queue: str) -> None:
        """Have no worker take a job of ``queue`` until ``resume``."""

    async def resume(self, queue: str) -> None:
        """Undo ``pause``."""
