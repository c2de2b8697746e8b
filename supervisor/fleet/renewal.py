"""Replaces processes that the master before has forked, a few at a time, so that no bot waits for another.

Runs in: master.
"""

import asyncio
from collections.abc import Awaitable, Callable

from brama.errors import ZygoteError
from brama.ids import BotId, Generation
from brama.log import get_logger
from supervisor.fleet.gate import Gate
from supervisor.fleet.policy.model import ALIVE, FORKING, Phase, Worker

#: Processes renewed at a time, for each core: a boot is work for the processor.
PER_CORE = 2
#: One that is still finishing its work after this long keeps no other waiting.
_PLACE_S = 1.0
#: A zygote that is not warm after this long is told of; mostly it takes two seconds.
SLOW_S = 30.0
log = get_logger(__name__)


class Renewal:
    """The bots whose processes are of the code before.

    Args:
        loop: the master's.
        cores: of the machine.
        renew: called for each bot when its turn has come.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, cores: int, renew: Callable[[BotId], None]) -> None:
        self._gate = Gate(loop, PER_CORE * cores, lambda bot_id, _: renew(bot_id), _PLACE_S)
        self._left: dict[BotId, Generation] = {}
        self._is_stopped = False
        #: Bots whose handlers took longer than ``stop.timeout``, so that their updates begin anew.
        self.cut_short: list[BotId] = []
        #: Why nothing can be renewed yet; None: it is being done, or nothing was to be.
        self._obstacle: str | None = None
        #: Whether that is more than the waiting which belongs to it.
        self._is_failing = False

    def __len__(self) -> int:
        return len(self._left)

    def add(self, bot_id: BotId, generation: Generation) -> None:
        """Note that a bot's process of this generation is to be replaced."""
        self._left[bot_id] = generation

    @property
    def obstacle(self) -> str | None:
        """Why those that are left serve on; None: they are being renewed, or there are none."""
        return self._obstacle if self._left else None

    @property
    def failure(self) -> str | None:
        """Likewise, but None as long as that is nothing to worry about."""
        return self.obstacle if self._is_failing else None

    async def begin_when_warm(self, wait_warm: Callable[[], Awaitable[object]]) -> None:
        """Begin as soon as processes can be forked; returns then, or when ``stop`` was called.

        Args:
            wait_warm: waits for a zygote; called again after a failure, until there is one.
        """
        self._obstacle = "the new zygote is not warm yet"
        while not self._is_stopped:
            try:
                async with asyncio.timeout(SLOW_S):
                    await wait_warm()
                break
            except TimeoutError:
                self._fail(f"the new zygote is not warm after {SLOW_S:g} s")
            except ZygoteError as error:
                self._fail(str(error))
        self._obstacle, self._is_failing = None, False
        log.info("fleet.renewing", bots=len(self))
        self.begin()

    def begin(self) -> None:
        """Begin: processes can be forked now."""
        for bot_id, generation in list(self._left.items()):
            self._gate.enter(bot_id, generation)

    def moved(self, bot_id: BotId, worker: Worker, unfinished: int = 0) -> None:
        """A bot is where ``worker`` says; it may be through.

        ``unfinished`` is how many updates its last process was in the middle of when it was ended.
        """
        if bot_id not in self._left:
            return
        if worker.generation == self._left[bot_id] and worker.phase in ALIVE:
            return
        self._gate.withdraw(bot_id)  # nothing is left of the code before, whoever ended it
        if unfinished and bot_id not in self.cut_short:
            self.cut_short.append(bot_id)
        if worker.phase is Phase.SERVE or worker.phase not in ALIVE | FORKING:
            del self._left[bot_id]
            self._gate.leave(bot_id)

    def stop(self) -> None:
        """Renew no more."""
        self._is_stopped = True
        for bot_id in list(self._left):
            self._gate.withdraw(bot_id)
        self._left.clear()

    def _fail(self, why: str) -> None:
        if not self._is_stopped:
            self._obstacle, self._is_failing = why, True
            log.error("fleet.not_renewed", bots=len(self), detail=why)
