"""The routes about updates that were given up.

What a dead letter holds was written to a bot by a person, so every route here is guarded like one that
changes something.

Runs in: master.
"""

from collections.abc import Sequence

from aiohttp import web

from supervisor.control.answers import RefusedError, json_answer, number_of, read_body
from supervisor.control.policy.names import unknown_names
from supervisor.control.ports import Master
from supervisor.control.wire import CountAnswer, LetterPage, LetterSummary, LetterView, Selection
from supervisor.updates.model import DeadLetter

DEFAULT_LIMIT = 100
#: Dead letters fetched, replayed or dropped in one step, bodies and all.
MAX_LIMIT = 1000


class DeadLetterRoutes:
    """Answers for one master."""

    def __init__(self, master: Master) -> None:
        self._master = master

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/dead-letters", self.list),
            web.get(r"/api/dead-letters/{id:\d{1,18}}", self.show),
            web.post("/api/dead-letters/replay", self.replay),
            web.post("/api/dead-letters/drop", self.drop),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Answer with dead letters, youngest first; ``next`` is the ``before`` of the next page, or null."""
        bot = request.query.get("bot")
        limit = min(number_of(request, "limit", DEFAULT_LIMIT) or 1, MAX_LIMIT)
        self._check_bot(bot)
        letters = await self._master.dead_letters(bot, limit, number_of(request, "before", None))
        following = letters[-1].letter_id if len(letters) == limit else None
        return json_answer(LetterPage([summarize(letter) for letter in letters], following))

    async def show(self, request: web.Request) -> web.Response:
        """Answer with one dead letter, its body only with ``?body=1``."""
        letter_id = int(request.match_info["id"])
        letter = await self._master.dead_letter(letter_id)
        if letter is None:
            raise RefusedError(404, f"there is no dead letter {letter_id}")
        body = letter.raw.decode(errors="backslashreplace") if request.query.get("body") == "1" else None
        return json_answer(LetterView(summarize(letter), letter.detail, letter.traceback, body))

    async def replay(self, request: web.Request) -> web.Response:
        """Put the selected dead letters at the tail of their bots' queues."""
        ids = await self._select(await read_body(request, Selection))
        return json_answer(CountAnswer(await self._master.replay(ids) if ids else 0))

    async def drop(self, request: web.Request) -> web.Response:
        """Delete the selected dead letters."""
        ids = await self._select(await read_body(request, Selection))
        return json_answer(CountAnswer(await self._master.drop(ids) if ids else 0))

    async def _select(self, selection: Selection) -> Sequence[int]:
        """Return the ids that are meant, every one of which exists; none is touched if one does not."""
        if (selection.ids is None) == (selection.bot is None):
            raise RefusedError(400, "name either ids or a bot")
        if selection.ids is None:
            self._check_bot(selection.bot)
            return await self._ids_of(selection.bot)
        ids = list(dict.fromkeys(selection.ids))
        if len(ids) > MAX_LIMIT:
            raise RefusedError(
                400, f"{len(ids)} ids are more than {MAX_LIMIT}; name a bot to mean all of its"
            )
        missing = [letter_id for letter_id in ids if await self._master.dead_letter(letter_id) is None]
        if missing:
            named = ", ".join(map(str, missing[:10]))
            raise RefusedError(404, f"there is no dead letter {named}; nothing was done")
        return ids

    async def _ids_of(self, bot: str | None) -> Sequence[int]:
        ids: list[int] = []
        before: int | None = None
        while letters := await self._master.dead_letters(bot, MAX_LIMIT, before):
            ids.extend(letter.letter_id for letter in letters)
            before = letters[-1].letter_id
        return ids

    def _check_bot(self, bot: str | None) -> None:
        if bot is not None:
            status = self._master.status()
            known = [worker.bot_id for worker in status.workers]
            known += [orphan.bot_id for orphan in status.orphans if orphan.bot_id is not None]
            if problem := unknown_names([bot], known):
                raise RefusedError(404, problem)


def summarize(letter: DeadLetter) -> LetterSummary:
    """Return what may be listed of ``letter``."""
    return LetterSummary(
        id=letter.letter_id,
        bot_id=letter.bot_id,
        update_id=letter.update_id,
        kind=letter.kind,
        reason=letter.reason,
        error=letter.error,
        attempts=letter.attempts,
        received_utc=letter.received_utc,
        died_utc=letter.died_utc,
        size_bytes=letter.size_bytes,
    )
