"""Lets bots through to the zygote a few at a time.

A boot is work for the processor: a thousand at once would each take so long that all of them miss
``limits.start_timeout``. One that waits for something else gives its place up after a while.

Runs in: master.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from brama.ids import BotId, Generation

#: Boots at a time, for each core.
BOOTS_PER_CORE = 12
#: After this long one no longer keeps another one waiting.
PLACE_S = 10.0


class Gate:
    """Admits starts in the order they were asked for.

    Args:
        loop: the master's.
        places: how many at a time.
        admit: called when a bot's turn has come; its place is taken then.
        place_s: how long each keeps its place at most, in seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        places: int,
        admit: Callable[[BotId, Generation], None],
        place_s: float = PLACE_S,
    ) -> None:
        self._loop = loop
        self._places = places
        self._admit = admit
        self._place_s = place_s
        self._waiting: OrderedDict[BotId, Generation] = OrderedDict()
        self._taken: dict[BotId, asyncio.TimerHandle] = {}

    def enter(self, bot_id: BotId, generation: Generation) -> None:
        """Ask for a place."""
        self._waiting[bot_id] = generation
        self._let_through()

    def withdraw(self, bot_id: BotId) -> bool:
        """Ask no more; return whether the bot was still waiting."""
        return self._waiting.pop(bot_id, None) is not None

    def leave(self, bot_id: BotId) -> None:
        """Give a place back, if one was taken."""
        if (timer := self._taken.pop(bot_id, None)) is not None:
            timer.cancel()
            self._let_through()

    def is_waiting(self, bot_id: BotId) -> bool:
        """Whether the bot's turn has not come yet."""
        return bot_id in self._waiting

    def _let_through(self) -> None:
        while self._waiting and len(self._taken) < self._places:
            bot_id, generation = self._waiting.popitem(last=False)
            if (earlier := self._taken.pop(bot_id, None)) is not None:
                earlier.cancel()
            self._taken[bot_id] = self._loop.call_later(self._place_s, self.leave, bot_id)
            self._admit(bot_id, generation)
