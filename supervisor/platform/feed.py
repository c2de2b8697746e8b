"""Keeps asking the platform that the configuration names now, or nobody.

Runs in: master.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from brama.clock import utc_s
from brama.config.models import BotsSourceSection
from brama.config.settings import Settings
from brama.errors import BramaError
from brama.log import get_logger
from supervisor.control.status import PlatformStatus
from supervisor.platform.answer import Answer
from supervisor.platform.source import BotsSource

#: Longest wait for the platform's first answer at the start; then the last one from disk serves.
FIRST_TIMEOUT_S = 5.0
#: Returns a file's settings with the bots of an answer, and warnings. Raises ConfigError.
Join = Callable[[Settings, Answer], tuple[Settings, Sequence[str]]]
#: Takes an answer into use; returns why it cannot, None: it has.
Offer = Callable[[Answer], Awaitable[str | None]]

log = get_logger(__name__)


class Feed:
    """The platform's API, whichever it is.

    Args:
        cache_path: file of the last accepted answer.
    """

    def __init__(self, cache_path: Path) -> None:
        self._cache_path = cache_path
        self._section = BotsSourceSection()
        self._source: BotsSource | None = None
        self._task: asyncio.Task[None] | None = None
        self._offer: Offer | None = None

    async def begin(
        self, file: Settings, join: Join, timeout_s: float = FIRST_TIMEOUT_S
    ) -> tuple[Answer | None, Settings]:
        """Return the answer to begin with, None without one, and the settings that it makes of ``file``.

        One whose bots cannot be taken into use counts as none. For a fresh one ``timeout_s`` seconds are
        waited, then the last one from disk serves.
        """
        self._section = file.bots_source
        self._source = self._make(file.bots_source)
        if self._source is None:
            return None, file
        joined = file

        async def judge(answer: Answer) -> str | None:
            nonlocal joined
            try:
                joined, warnings = join(file, answer)
            except BramaError as error:
                return str(error)
            for warning in warnings:
                log.warning("configuration.warned", detail=warning)
            return None

        answer = await self._source.first(timeout_s, judge)
        return (None, file) if answer is None else (answer, joined)

    def run(self, offer: Offer) -> None:
        """Ask from now on, and offer what is new."""
        self._offer = offer
        if self._source is not None:
            self._task = asyncio.get_running_loop().create_task(self._run(self._source, offer))

    async def adapt(self, section: BotsSourceSection) -> None:
        """Ask as ``section`` says from now on; bots of another platform stay until this one has answered."""
        if section == self._section:
            return
        await self.aclose()
        self._section = section
        self._source = self._make(section)
        if self._offer is not None:
            self.run(self._offer)

    def refresh(self) -> None:
        """Ask now, whatever the interval says."""
        if self._source is not None:
            self._source.ask_soon()

    def status(self) -> PlatformStatus | None:
        """Return how the platform stands, None if the configuration names none."""
        if self._source is None:
            return None
        status = self._source.status
        age_ms = None if status.fetched_utc is None else max(int((utc_s() - status.fetched_utc) * 1000), 0)
        return PlatformStatus(status.ok, status.detail, age_ms, status.from_cache, status.bots)

    async def aclose(self) -> None:
        """Ask no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        source, self._source = self._source, None
        if source is not None:
            await source.aclose()

    # --- inside ---------------------------------------------------------------------------------

    def _make(self, section: BotsSourceSection) -> BotsSource | None:
        if section.url is None:
            return None
        return BotsSource(section, self._cache_path, utc=utc_s, jitter=random.random)

    async def _run(self, source: BotsSource, offer: Offer) -> None:
        try:
            await source.run(offer)
        except Exception:
            log.exception("platform.failed")
