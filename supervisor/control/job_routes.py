"""The routes about the job queue and jobs that failed for good.

Payloads and errors may be private: every route but the overview, which holds numbers alone, is guarded like
one that changes something.

Runs in: master.
"""

from collections.abc import Sequence

from aiohttp import web

from supervisor.control.answers import RefusedError, json_answer, number_of, read_body
from supervisor.control.job_ports import Jobs
from supervisor.control.job_wire import (
    CleanAnswer,
    CleanRequest,
    JobLetterPage,
    LetterChoice,
    LetterResolution,
    PauseAnswer,
    QueuesAnswer,
    TallyAnswer,
    list_letter,
    show_job,
    show_letter,
    show_queue,
)

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
#: Letters retried or resolved by one request; each takes a commit to disk.
MAX_AT_ONCE = 500
MAX_NOTE_CHARACTERS = 1000
OFF = "jobs are off here; set jobs.enabled: true and restart the supervisor"

#: Shows numbers alone.
OVERVIEW = "/api/jobs"


class JobRoutes:
    """Answers for one job queue; None: jobs are off."""

    def __init__(self, jobs: Jobs | None) -> None:
        self._off_or_jobs = jobs

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(OVERVIEW, self.queues),
            web.get("/api/jobs/letters", self.letters),
            web.get(r"/api/jobs/letters/{id:\d{1,18}}", self.letter),
            web.post("/api/jobs/letters/retry", self.retry),
            web.post("/api/jobs/letters/resolve", self.resolve),
            web.post("/api/jobs/letters/clean", self.clean),
            web.get("/api/jobs/queues/{queue}/{id}", self.job),
            web.post("/api/jobs/queues/{queue}/pause", self.pause),
            web.post("/api/jobs/queues/{queue}/resume", self.resume),
        ]

    @property
    def _jobs(self) -> Jobs:
        if self._off_or_jobs is None:
            raise RefusedError(404, OFF)
        return self._off_or_jobs

    async def queues(self, _request: web.Request) -> web.Response:
        """Answer with every queue and its numbers."""
        return json_answer(QueuesAnswer([show_queue(each) for each in await self._jobs.queues()]))

    async def letters(self, request: web.Request) -> web.Response:
        """Answer with letters, youngest first; open ones, with ``resolved=1`` all."""
        limit = min(number_of(request, "limit", DEFAULT_LIMIT) or 1, MAX_LIMIT)
        query = request.query
        found = await self._jobs.letters(
            queue=query.get("queue"),
            name=query.get("type"),
            cause=query.get("cause"),
            include_resolved=query.get("resolved") == "1",
            limit=limit,
            before=number_of(request, "before", None),
        )
        following = found[-1].letter_id if len(found) == limit else None
        return json_answer(JobLetterPage([list_letter(each) for each in found], following))

    async def letter(self, request: web.Request) -> web.Response:
        """Answer with one letter, its payload only with ``?payload=1``."""
        letter_id = int(request.match_info["id"])
        letter = await self._jobs.letter(letter_id)
        if letter is None:
            raise RefusedError(404, f"there is no dead letter {letter_id}")
        return json_answer(show_letter(letter, payload=request.query.get("payload") == "1"))

    async def job(self, request: web.Request) -> web.Response:
        """Answer with one job, its payload, progress and result only with ``?payload=1``."""
        queue, job_id = request.match_info["queue"], request.match_info["id"]
        job = await self._jobs.job(queue, job_id)
        if job is None:
            raise RefusedError(404, f"queue {queue} has no job {job_id}, or keeps it no longer")
        return json_answer(show_job(job, payload=request.query.get("payload") == "1"))

    async def retry(self, request: web.Request) -> web.Response:
        """Have the jobs of the chosen letters begin again."""
        ids, following = await self._choose(await read_body(request, LetterChoice))
        tally = await self._jobs.retry(ids)
        return json_answer(TallyAnswer(tally.count, list(tally.problems), following))

    async def resolve(self, request: web.Request) -> web.Response:
        """Close the chosen letters with a note."""
        wish = await read_body(request, LetterResolution)
        if not wish.note.strip() or len(wish.note) > MAX_NOTE_CHARACTERS:
            raise RefusedError(400, f"note: say in 1 to {MAX_NOTE_CHARACTERS} characters what was done")
        ids, following = await self._choose(wish)
        tally = await self._jobs.resolve(ids, wish.note.strip())
        return json_answer(TallyAnswer(tally.count, list(tally.problems), following))

    async def clean(self, request: web.Request) -> web.Response:
        """Forget a batch of letters that were resolved long enough ago."""
        wish = await read_body(request, CleanRequest)
        if not 0 <= wish.older_than_s < float("inf"):
            raise RefusedError(400, "older_than_s is a number of seconds, 0 or more")
        return json_answer(CleanAnswer(*await self._jobs.clean(wish.older_than_s)))

    async def pause(self, request: web.Request) -> web.Response:
        """Have no worker take a job of the queue."""
        queue = request.match_info["queue"]
        await self._jobs.pause(queue)
        return json_answer(PauseAnswer(queue, paused=True))

    async def resume(self, request: web.Request) -> web.Response:
        """Undo ``pause``."""
        queue = request.match_info["queue"]
        await self._jobs.resume(queue)
        return json_answer(PauseAnswer(queue, paused=False))

    async def _choose(self, choice: LetterChoice) -> tuple[Sequence[int], int | None]:
        """Return the ids that are meant, and where the rest of them begins, None if there is none."""
        if (choice.ids is None) == (not choice.all):
            raise RefusedError(400, "name either ids, or all with queue, type or cause to choose by")
        if choice.ids is None:
            found = await self._jobs.letters(
                queue=choice.queue,
                name=choice.type,
                cause=choice.cause,
                include_resolved=False,
                limit=MAX_AT_ONCE,
                before=choice.before,
            )
            ids = [each.letter_id for each in found]
            return ids, ids[-1] if len(ids) == MAX_AT_ONCE else None
        if choice.queue or choice.type or choice.cause or choice.before:
            raise RefusedError(400, "queue, type, cause and before go with all, not with ids")
        ids = list(dict.fromkeys(choice.ids))
        if len(ids) > MAX_AT_ONCE:
            raise RefusedError(400, f"{len(ids)} ids are more than {MAX_AT_ONCE}; send them in parts")
        return ids, None
