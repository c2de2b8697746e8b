"""Keeps the list of the platform's bots up to date.

Asks the platform's API again and again and offers each new answer. What was accepted last stays in use while
the API is away or answers nonsense, over a restart of the master too. Only the ETag of an accepted answer is
sent: one that was refused is fetched and judged again, since it may be this machine that was not ready.

Runs in: master.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from brama.config.models import BotsSourceSection
from brama.errors import BramaError
from brama.log import get_logger
from supervisor.platform.answer import Answer, SourceStatus, UnreadableAnswerError, parse
from supervisor.platform.cache import AnswerCache
from supervisor.platform.client import AskingLimits, Fetched, PlatformClient, UnreachableError
from supervisor.platform.policy.pace import next_wait_s

#: Takes an answer and returns None if its bots are the fleet's now, else why not: a line for each fault.
Offer = Callable[[Answer], Awaitable[str | None]]

#: Most faults of one answer that the log shows.
_MAX_FAULTS = 20

log = get_logger(__name__)


class BotsSource:
    """One platform. Must be made in a running loop.

    Args:
        section: the settings; ``url`` must be set.
        cache_path: file of the last accepted answer, in a folder that exists.
        utc: returns seconds of wall time.
        jitter: returns a number of 0 up to 1, another each time.
        sleep: waits so many seconds.
        limits: of one question.
    """

    def __init__(
        self,
        section: BotsSourceSection,
        cache_path: Path,
        *,
        utc: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        limits: AskingLimits | None = None,
    ) -> None:
        assert section.url is not None
        token = None if section.token is None else section.token.get_secret_value()
        self._client = PlatformClient(section.url, token, limits or AskingLimits())
        self._cache = AnswerCache(cache_path, section.url)
        self._interval_s = section.interval
        self._utc, self._jitter, self._sleep = utc, jitter, sleep
        self._hurry = asyncio.Event()
        self._accepted: Answer | None = None
        self._on_disk: Answer | None = None
        self._was_asked = False
        self._failures = 0
        self._pause_s: float | None = None
        self._trouble: tuple[str, str] | None = None

    @property
    def accepted(self) -> Answer | None:
        """The answer whose bots are the fleet's."""
        return self._accepted

    @property
    def status(self) -> SourceStatus:
        """How things stand."""
        detail = self._trouble[1] if self._trouble else "" if self._was_asked else "not asked yet"
        if self._accepted is None:
            return SourceStatus(not detail, detail)
        answer = self._accepted
        return SourceStatus(not detail, detail, answer.fetched_utc, answer.is_cached, answer.bots)

    async def first(self, timeout_s: float, offer: Offer) -> Answer | None:
        """Return the answer to begin with: a fresh one, else the one on disk, else None.

        Args:
            timeout_s: longest wait for a fresh one, in seconds; 0: it is not asked for.
            offer: judges each; the fresh one may be refused and the one on disk accepted.
        """
        self._on_disk = cached = await self._cache.load()
        fresh = await self._ask(cached, timeout_s) if timeout_s else None
        if fresh is not None and await self._offer(fresh, offer):
            return fresh
        if cached is None or (fresh is not None and fresh.raw == cached.raw):
            return None
        if reason := await _judge(cached, offer):
            log.warning("platform.cache_unusable", detail=f"the last answer is refused: {_summary(reason)}")
            return None
        self._accepted = cached
        return cached

    async def run(self, offer: Offer) -> NoReturn:
        """Ask for ever, and offer each answer that differs from the accepted one."""
        while True:
            if self._was_asked:
                await self._wait()
            answer = await self._ask(self._accepted)
            if answer is None:
                continue
            if self._accepted is not None and answer.raw == self._accepted.raw:
                await self._accept(answer)
            else:
                await self._offer(answer, offer)

    def ask_soon(self) -> None:
        """Have ``run`` ask now, whatever it waits for."""
        self._hurry.set()

    async def aclose(self) -> None:
        """Close the connection. ``run`` must have ended."""
        await self._client.aclose()

    # --- inside ---------------------------------------------------------------------------------

    async def _wait(self) -> None:
        wait_s = next_wait_s(self._interval_s, self._failures, self._pause_s, self._jitter())
        waits = [asyncio.ensure_future(self._sleep(wait_s)), asyncio.ensure_future(self._hurry.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._hurry.clear()

    async def _ask(self, known: Answer | None, within_s: float | None = None) -> Answer | None:
        """Return what the platform says now, ``known`` itself being confirmed; None if it says nothing."""
        self._was_asked = True
        try:
            reply = await self._client.ask(known.etag if known else None, within_s)
        except UnreachableError as error:
            self._failures += 1
            self._pause_s = error.pause_s
            self._note("platform.unreachable", str(error))
            return None
        self._failures, self._pause_s = 0, None
        if not isinstance(reply, Fetched):
            assert known is not None  # only a question with an ETag is answered so
            return replace(known, fetched_utc=self._utc(), is_cached=False)
        try:
            content = parse(reply.body)
        except UnreadableAnswerError as error:
            self._note("platform.refused", str(error))
            return None
        return Answer(reply.body, content, reply.etag, self._utc())

    async def _offer(self, answer: Answer, offer: Offer) -> bool:
        """Return whether ``answer`` is accepted."""
        if reason := await _judge(answer, offer):
            self._note(
                "platform.refused",
                f"the answer is refused: {_summary(reason)}",
                faults=reason.splitlines()[:_MAX_FAULTS],
            )
            return False
        log.info("platform.fetched", bots=answer.bots, bytes=len(answer.raw), etag=answer.etag is not None)
        await self._accept(answer)
        return True

    async def _accept(self, answer: Answer) -> None:
        """Remember ``answer``, which the platform has just given or confirmed."""
        self._accepted = answer
        if self._trouble is not None:
            self._trouble = None
            log.info("platform.recovered", bots=answer.bots)
        kept = self._on_disk
        if kept is not None and (kept.raw, kept.etag) == (answer.raw, answer.etag):
            return
        if await self._cache.keep(answer):
            self._on_disk = answer

    def _note(self, event: str, detail: str, **keys: object) -> None:
        """Remember what is wrong, and log it when it is something else than before."""
        if self._trouble != (event, detail):
            log.warning(event, detail=detail, **keys)
        self._trouble = (event, detail)


async def _judge(answer: Answer, offer: Offer) -> str | None:
    try:
        return await offer(answer)
    except BramaError as error:
        return str(error) or type(error).__name__


def _summary(reason: str) -> str:
    """Return the first of several lines, and how many more there are."""
    first, *more = reason.splitlines()
    return f"{first} (and {len(more)} more)" if more else first
