"""The control API's JSON about jobs, and how it is made of what the queue says.

Runs in: master | command line.
"""

import json
from typing import Annotated, Any

import msgspec

from supervisor.control.job_ports import JobFacts, LetterFacts, ListedLetter, QueueFacts, WholeLetter

LetterId = Annotated[int, msgspec.Meta(ge=1, le=10**18)]


class QueueView(msgspec.Struct, frozen=True):
    """One queue. ``waiting`` counts jobs a worker can take, ``completed`` and ``failed`` those still kept.

    ``dead_letters`` counts open ones, ``outbox`` jobs that wait for the server to take them.
    """

    name: str
    waiting: int
    active: int
    delayed: int
    completed: int
    failed: int
    paused: bool
    dead_letters: int
    outbox: int


class QueuesAnswer(msgspec.Struct, frozen=True):
    """``GET /api/jobs``."""

    queues: list[QueueView]


class JobLetter(msgspec.Struct, frozen=True):
    """A job that failed for good, without its payload. Times in seconds since the epoch.

    ``attempts`` were made; ``resolved_utc`` is None while the letter is open.
    """

    id: int
    queue: str
    type: str
    job_id: str
    cause: str
    error: str
    attempts: int
    created_utc: float
    died_utc: float
    resolved_utc: float | None
    note: str


class JobLetterPage(msgspec.Struct, frozen=True):
    """``GET /api/jobs/letters``: youngest first; ``next`` is the next page's ``before``, None on the last."""

    letters: list[JobLetter]
    next: int | None


class JobLetterView(msgspec.Struct, frozen=True):
    """``GET /api/jobs/letters/{id}``: ``payload`` is there if ``?payload=1`` asks for it."""

    letter: JobLetter
    stack: str
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class JobView(msgspec.Struct, frozen=True):
    """``GET /api/jobs/queues/{queue}/{id}``: a job as it is now. Times in seconds since the epoch.

    ``payload``, ``progress`` and ``result`` are there if ``?payload=1`` asks for them.
    """

    queue: str
    id: str
    type: str
    state: str
    attempts: int
    error: str
    stack: str
    created_utc: float
    finished_utc: float | None
    progress: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class LetterChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /api/jobs/letters/retry``: letters by their ids, or ``all`` open ones that the rest matches.

    With ``all``, at most 500 are looked at; the answer's ``next`` is the ``before`` of the rest.
    """

    ids: list[LetterId] | None = None
    all: bool = False
    queue: str | None = None
    type: str | None = None
    cause: str | None = None
    before: LetterId | None = None


class LetterResolution(LetterChoice, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /api/jobs/letters/resolve``: as for a retry, and a ``note`` that says what was done."""

    note: str


class TallyAnswer(msgspec.Struct, frozen=True):
    """To how many letters it was done, and why not to each of the others."""

    count: int
    problems: list[str] = []
    next: int | None = None


class CleanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /api/jobs/letters/clean``: letters resolved more than so many seconds ago."""

    older_than_s: float


class CleanAnswer(msgspec.Struct, frozen=True):
    """How many letters are gone; ``more``: ask again for the rest."""

    count: int
    more: bool


class PauseAnswer(msgspec.Struct, frozen=True):
    """``POST /api/jobs/queues/{queue}/pause`` and ``…/resume``."""

    queue: str
    paused: bool


def show_queue(queue: QueueFacts) -> QueueView:
    """Return ``queue`` for an answer."""
    return QueueView(
        name=queue.name,
        waiting=queue.waiting,
        active=queue.active,
        delayed=queue.delayed,
        completed=queue.completed,
        failed=queue.failed,
        paused=queue.is_paused,
        dead_letters=queue.dead_letters,
        outbox=queue.outbox,
    )


def list_letter(letter: ListedLetter | LetterFacts) -> JobLetter:
    """Return what may be listed of ``letter``."""
    return JobLetter(
        id=letter.letter_id,
        queue=letter.queue,
        type=letter.name,
        job_id=letter.job_id,
        cause=letter.cause,
        error=letter.error,
        attempts=letter.attempt,
        created_utc=letter.created_utc,
        died_utc=letter.died_utc,
        resolved_utc=letter.resolved_utc,
        note=letter.note,
    )


def show_letter(letter: WholeLetter, *, payload: bool) -> JobLetterView:
    """Return ``letter``, with what it was asked to do if ``payload``."""
    view = JobLetterView(list_letter(letter), letter.stack)
    return msgspec.structs.replace(view, payload=_raw(letter.payload)) if payload else view


def show_job(job: JobFacts, *, payload: bool) -> JobView:
    """Return ``job``, with what it was asked and has said if ``payload``."""
    view = JobView(
        queue=job.queue,
        id=job.job_id,
        type=job.name,
        state=job.state,
        attempts=job.attempts_made,
        error=job.error,
        stack=job.stack,
        created_utc=job.created_utc_ms / 1000,
        finished_utc=job.finished_utc_ms / 1000 if job.finished_utc_ms else None,
    )
    if not payload:
        return view
    return msgspec.structs.replace(
        view, payload=_raw(job.data), progress=_raw(job.progress), result=_raw(job.result)
    )


def _raw(value: Any) -> msgspec.Raw:
    """Return ``value`` as JSON in ASCII: others than us write payloads, with halves of characters in them."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        text = json.dumps(json.loads(json.dumps(value), parse_constant=str))
    return msgspec.Raw(text.encode())
