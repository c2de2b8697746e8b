"""Takes a changed configuration into use while everything runs: one change at a time, whole or not at all.

A reload that comes during the start waits for its end; one that comes during another waits for that and sees
the file as it is then; during the stop there is none.

Runs in: master.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from brama.config.settings import Settings
from brama.errors import BramaError
from brama.log import get_logger
from brama.redaction import register_secrets
from supervisor.reload.policy.plan import Plan, make_plan

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a configuration comes from.

    Attributes:
        load: reads the file anew, with everything it names; runs in a thread. Raises ConfigError.
        join: returns the file's settings with the bots of the platform's answer beside its own, and warnings.
            Raises ConfigError.
        refresh: has the platform asked now; its answer is offered later.
    """

    load: Callable[[], Settings]
    join: Callable[[Settings, Any], tuple[Settings, Sequence[str]]]
    refresh: Callable[[], None]


class Reloader:
    """Knows the configuration that runs and leads to the next one.

    Args:
        file: what the file said at the start, without the platform's bots.
        answer: the platform's at the start; None: there is no platform, or it has not answered yet.
        running: both together, as the master was started with.
        sources: where the next one comes from.
        apply: makes the master what a plan says. Raises BramaError if it changed nothing.
        requested: set by requests that nobody waits for; several before their turn are one.
        during: entered while the file is read anew and taken into use.
    """

    def __init__(
        self,
        file: Settings,
        answer: Any,
        running: Settings,
        sources: Sources,
        apply: Callable[[Plan], Awaitable[None]],
        requested: asyncio.Event,
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._file = file
        self._answer = answer
        self.settings = running
        self._sources = sources
        self._apply = apply
        self._turn = asyncio.Lock()
        self._may_begin = asyncio.Event()
        self._closed_because: str | None = None
        self._requested = requested
        self._during = during
        #: Why the last reload changed nothing, one line for each problem; None: it was taken into use.
        self.failure: str | None = None

    @property
    def file(self) -> Settings:
        """What the file said when it was taken into use last, without the platform's bots."""
        return self._file

    def open(self) -> None:
        """The start is over: reloads may begin."""
        self._may_begin.set()

    def close(self, reason: str = "the master is stopping; nothing was changed") -> None:
        """The end has begun: no reload changes anything any more, for this ``reason``."""
        self._closed_because = reason
        self._may_begin.set()

    async def settle(self) -> None:
        """Wait until no change is under way; after ``close`` none follows."""
        async with self._turn:
            pass

    async def serve_requests(self) -> None:
        """Carry out requested reloads until cancelled; what is wrong with them is logged."""
        while True:
            await self._requested.wait()
            self._requested.clear()
            try:
                await self.reload()
            except BramaError as error:
                log.error("configuration.refused", problems=str(error).splitlines())
            except Exception:  # a defect of ours must not cost the operator all later reloads
                log.exception("configuration.reload_failed")

    async def reload(self, *, dry_run: bool = False) -> tuple[Plan, Sequence[str]]:
        """Read the file anew and take what differs into use; return the plan and warnings.

        A caller that is cancelled leaves the reload running.

        Args:
            dry_run: change nothing.

        Raises:
            ConfigError: something is wrong with the file, all of it; nothing was changed.
            BramaError: it cannot be applied, as while the master stops; nothing was changed.
        """
        return await asyncio.shield(self._reload(dry_run))

    async def offer(self, answer: Any) -> str | None:
        """Take the platform's bots into use; return why that cannot be, None: they are."""
        async with self._turn:
            try:
                await self._wait_begin()
                plan, warnings = self._plan(self._file, answer)
                await self._take(plan)
            except BramaError as error:
                return str(error)
            self._answer = answer
            for warning in warnings:
                log.warning("configuration.warned", detail=warning)
            return None

    # --- inside ---------------------------------------------------------------------------------

    async def _reload(self, dry_run: bool) -> tuple[Plan, Sequence[str]]:
        async with self._turn:
            await self._wait_begin()
            if dry_run:
                return self._plan(await asyncio.to_thread(self._sources.load), self._answer)
            with self._during():
                try:
                    file = await asyncio.to_thread(self._sources.load)
                    plan, warnings = self._plan(file, self._answer)
                    await self._take(plan)
                except BramaError as error:
                    self.failure = str(error)
                    raise
                self._file = file
                self._sources.refresh()
                self.failure = None
            return plan, warnings

    async def _wait_begin(self) -> None:
        await self._may_begin.wait()
        if self._closed_because is not None:
            raise BramaError(self._closed_because)

    def _plan(self, file: Settings, answer: Any) -> tuple[Plan, Sequence[str]]:
        if answer is None or file.bots_source.url is None:
            return make_plan(self.settings, file), ()
        joined, warnings = self._sources.join(file, answer)
        return make_plan(self.settings, joined), warnings

    async def _take(self, plan: Plan) -> None:
        register_secrets(*plan.settings.secrets())
        await self._apply(plan)
        self.settings = plan.settings
        log.info("configuration.applied", **_facts(plan))


def _facts(plan: Plan) -> Mapping[str, Any]:
    bots: dict[str, list[str]] = {}
    for change in plan.bots:
        bots.setdefault(change.action, []).append(change.bot_id)
    return {**bots, "keys": list(plan.applied), "waiting": list(plan.waiting)}
