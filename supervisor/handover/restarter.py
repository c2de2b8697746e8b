"""Restarts the master hot: tries the next one out, and if that could take over, has it take over.

Runs in: master.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Protocol

from brama.errors import BramaError
from brama.ids import BotId
from brama.log import get_logger
from brama.messages import PROTOCOL_VERSION
from supervisor.fleet.records import MemberRecord
from supervisor.handover.records import FORMAT, Handover, Proof
from supervisor.handover.trial import prove

log = get_logger(__name__)


class Fleet(Protocol):
    """Whose processes go on."""

    async def retire(self, bot_ids: Collection[BotId]) -> None: ...


class Restarter:
    """Answers requests to restart hot.

    Args:
        program: what is executed; its path is resolved anew each time.
        draft: returns what would be handed over now.
        stalled: returns why nothing can be written to the state file, None: it can.
        fleet: ends what the next master cannot go on with.
        hand_over: has the master be replaced; returns whether that is still possible.
        requested: set by requests that nobody waits for.
        failure: why the last one did not happen.
    """

    def __init__(
        self,
        program: Path,
        draft: Callable[[], Handover],
        stalled: Callable[[], str | None],
        fleet: Fleet,
        hand_over: Callable[[], bool],
        requested: asyncio.Event,
        failure: str | None = None,
    ) -> None:
        self._program = program
        self._draft = draft
        self._stalled = stalled
        self._fleet = fleet
        self._hand_over = hand_over
        self._requested = requested
        self._running: asyncio.Task[Proof] | None = None
        #: Resolved when it is sure that the next master can take over, and bots are waited for.
        self._proven: asyncio.Future[Proof] | None = None
        #: Bots that finish what they have begun before that.
        self.retiring: tuple[BotId, ...] = ()
        #: What has proven itself last; links are resolved.
        self.proven = program
        #: Why the last hot restart did not happen, one line for each problem.
        self.failure = failure

    async def serve_requests(self) -> None:
        """Carry out requested restarts until one succeeds; why one cannot be is logged.

        What is requested later is the next master's.
        """
        while True:
            await self._requested.wait()
            if self._running is not None and self._running.done():
                return
            self._requested.clear()
            try:
                await self.restart()
            except BramaError:
                pass  # logged already
            except Exception:
                log.exception("master.restart_failed")

    async def restart(self) -> Proof:
        """Begin a hot restart; returns once the next master has proven itself.

        It takes over as soon as those of ``retiring`` have ended; what keeps it from that is in ``failure``.
        A request that comes during another one, or while the master is being replaced, joins it.

        Raises:
            ConfigError: the configuration is of no use to the next master; nothing has changed.
            BramaError: it could not take over; nothing has changed.
        """
        if self._running is None or self._proven is None:
            loop = asyncio.get_running_loop()
            self._proven = proven = loop.create_future()
            self._running = loop.create_task(self._restart(proven))
            self._running.add_done_callback(self._ended)
        running, proven = self._running, self._proven
        await asyncio.wait([running, proven], return_when=asyncio.FIRST_COMPLETED)
        return proven.result() if proven.done() else running.result()

    async def aclose(self) -> None:
        """End a trial that is under way."""
        if (running := self._running) is not None:
            running.cancel()
            await asyncio.wait([running])

    async def _restart(self, proven: "asyncio.Future[Proof]") -> Proof:
        log.info("master.trying", program=str(self._program))
        try:
            if (stalled := self._stalled()) is not None:
                raise BramaError(f"no hot restart while updates cannot be written: {stalled}")
            program = self._program.resolve()
            proof = await prove(program, self._draft())
            if proof.format != FORMAT:
                raise BramaError(
                    f"version {proof.version} reads another handover ({proof.format}) than this one writes "
                    f"({FORMAT}); stop the master and start it"
                )
            bots = self._draft().bots
            ended = ended_by(proof, bots)
            self.retiring = tuple(BotId(bot.bot_id) for bot in bots if bot.process and bot.bot_id in ended)
            if self.retiring:
                log.info("master.retiring", bots=self.retiring)
                proven.set_result(proof)
            await self._fleet.retire(ended)
            self.proven = program
            if not self._hand_over():
                raise BramaError("the master is stopping")
        except BramaError as error:
            self.failure = str(error)
            log.error("master.restart_refused", problems=self.failure.splitlines())
            raise
        self.failure = None
        log.info("master.handing_over", version=proof.version)
        return proof

    def _ended(self, task: "asyncio.Task[Proof]") -> None:
        if task.cancelled() or task.exception() is not None:
            self._running = None


def ended_by(proof: Proof, bots: Iterable[MemberRecord]) -> list[BotId]:
    """Return the bots whose processes the next master cannot go on with: not its own, or of other speech."""
    return [
        BotId(bot.bot_id)
        for bot in bots
        if proof.protocol != PROTOCOL_VERSION or proof.bots.get(bot.bot_id) != bot.telegram_id
    ]
