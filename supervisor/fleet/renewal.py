"""Replaces processes that the master before has forked, a few at a time, so that no bot waits for another.

Runs in: master.
"""

import asyncio
from collections.abc import Callable

from brama.ids import BotId, Generation
from supervisor.fleet.gate import Gate
from supervisor.fleet.policy.model import ALIVE, FORKING, Phase, Worker

#: Processes renewed at a time, for each core: a boot is work for the processor.
PER_CORE = 2
#: One that is still finishing its work after this long keeps no other waiting.
_PLACE_S = 1.0


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

    def __len__(self) -> int:
        return len(self._left)

    def add(self, bot_id: BotId, generation: Generation) -> None:
        """Note that a bot's process of this generation is to be replaced."""
        self._left[bot_id] = generation

    def begin(self) -> None:
        """Begin: processes can be forked now."""
        for bot_id, generation in list(self._left.items()):
            self._gate.enter(bot_id, generation)

    def moved(self, bot_id: BotId, worker: Worker) -> None:
        """A bot is where ``worker`` says; it may be through."""
        if bot_id not in self._left:
            return
        if worker.generation == self._left[bot_id] and worker.phase in ALIVE:
            return
        if worker.phase is Phase.SERVE or worker.phase not in ALIVE | FORKING:
            del self._left[bot_id]
            self._gate.withdraw(bot_id)
            self._gate.leave(bot_id)

    def stop(self) -> None:
        """Renew no more."""
        for bot_id in list(self._left):
            self._gate.withdraw(bot_id)
        self._left.clear()
