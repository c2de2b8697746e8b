"""Asks a running master about its job queue.

Runs in: command line.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from supervisor.control.client import ControlClient
from supervisor.control.job_wire import (
    CleanAnswer,
    CleanRequest,
    JobLetter,
    JobLetterPage,
    JobLetterView,
    JobView,
    LetterChoice,
    LetterResolution,
    PauseAnswer,
    QueuesAnswer,
    QueueView,
    TallyAnswer,
)

_PAGE = 500


class JobClient:
    """The operator's side of a master's job queue; methods raise BramaError."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def queues(self) -> list[QueueView]:
        """Return every queue that is known."""
        return self._client.ask(QueuesAnswer, "GET", "/api/jobs").queues

    def letters(
        self, *, queue: str | None, name: str | None, cause: str | None, include_resolved: bool, limit: int
    ) -> Iterator[JobLetter]:
        """Yield at most ``limit`` letters, youngest first."""
        before: int | None = None
        while limit > 0:
            query = {
                "queue": queue,
                "type": name,
                "cause": cause,
                "resolved": "1" if include_resolved else None,
                "limit": min(limit, _PAGE),
                "before": before,
            }
            encoded = urlencode({key: value for key, value in query.items() if value is not None})
            page = self._client.ask(JobLetterPage, "GET", f"/api/jobs/letters?{encoded}")
            yield from page.letters
            limit -= len(page.letters)
            if page.next is None:
                return
            before = page.next

    def letter(self, letter_id: int) -> JobLetterView:
        """Return one letter with its payload."""
        return self._client.ask(JobLetterView, "GET", f"/api/jobs/letters/{letter_id}?payload=1")

    def job(self, queue: str, job_id: str) -> JobView:
        """Return a job as it is now, with its payload and result."""
        return self._client.ask(JobView, "GET", f"{_path(queue, job_id)}?payload=1")

    def retry(self, letter_ids: Sequence[int]) -> TallyAnswer:
        """Have the jobs of at most 500 letters begin again."""
        return self._client.ask(
            TallyAnswer, "POST", "/api/jobs/letters/retry", LetterChoice(ids=list(letter_ids))
        )

    def resolve(self, letter_ids: Sequence[int], note: str) -> TallyAnswer:
        """Close at most 500 letters."""
        wish = LetterResolution(ids=list(letter_ids), note=note)
        return self._client.ask(TallyAnswer, "POST", "/api/jobs/letters/resolve", wish)

    def clean(self, older_than_s: float) -> CleanAnswer:
        """Forget a batch of letters that were resolved so many seconds ago."""
        return self._client.ask(CleanAnswer, "POST", "/api/jobs/letters/clean", CleanRequest(older_than_s))

    def pause(self, queue: str) -> None:
        """Have no worker take a job of ``queue``."""
        self._client.ask(PauseAnswer, "POST", _path(queue, "pause"), {})

    def resume(self, queue: str) -> None:
        """Undo ``pause``."""
        self._client.ask(PauseAnswer, "POST", _path(queue, "resume"), {})


def _path(queue: str, last: str) -> str:
    return f"/api/jobs/queues/{quote(queue, safe='')}/{quote(last, safe='')}"
