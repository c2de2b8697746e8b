"""Keeps count of the fleet's processes, and of the bots that wait for room.

Runs in: master.
"""

from collections.abc import Callable, Iterator

from brama.clock import Clock
from brama.ids import BotId
from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.capacity import Capacity, decide_refusal
from supervisor.fleet.policy.model import ALIVE, FORKING, Phase

#: A reading of the machine's memory serves all starts of this long.
_READING_S = 0.2

#: Phases that take a place.
OCCUPYING = ALIVE | FORKING


class Room:
    """What the machine has left for the fleet.

    Args:
        capacity: the limits.
        free_memory: returns the share of memory that is available.
        clock: monotonic seconds.
    """

    def __init__(self, capacity: Capacity, free_memory: Callable[[], float], clock: Clock) -> None:
        self.capacity = capacity
        self._free_memory = free_memory
        self._clock = clock
        self._processes = 0
        self._waiting: dict[BotId, None] = {}
        self._urgent: dict[BotId, None] = {}
        #: Bots that have a place and may give it up.
        self._yielding: set[BotId] = set()
        self._reading = 1.0
        self._read_at = float("-inf")

    @property
    def processes(self) -> int:
        """Processes that exist or are being forked."""
        return self._processes

    def move(self, bot_id: BotId, before: Phase, after: Phase, *, may_sleep: bool) -> bool:
        """Note that a bot changed its phase; return whether that may have made room for one that waits."""
        (self._yielding.add if may_sleep and after in OCCUPYING else self._yielding.discard)(bot_id)
        freed = before in OCCUPYING and after not in OCCUPYING
        self._processes += (after in OCCUPYING) - (before in OCCUPYING)
        if after is Phase.CAPACITY:
            self._waiting.setdefault(bot_id)
        else:
            self._waiting.pop(bot_id, None)
            self._urgent.pop(bot_id, None)
        return freed and after is not Phase.CAPACITY and bool(self._waiting)

    @property
    def waiting(self) -> int:
        """Bots that wait for room."""
        return len(self._waiting)

    def hurry(self, bot_id: BotId) -> None:
        """Have a bot that waits for room go before those that nobody waits for."""
        if bot_id in self._waiting:
            self._urgent.setdefault(bot_id)

    def refusal(self, bot_id: BotId) -> str | None:
        """Return why the bot's process, which was counted last, may not start; None: it may."""
        refusal = decide_refusal(self.capacity, self._processes - 1, self._free())
        others = len(self._yielding) - (bot_id in self._yielding)
        if refusal is None or not others:
            return refusal
        return reasons.making_room(refusal)

    def next_in_line(self) -> Iterator[BotId]:
        """Yield bots that wait, those with updates and then the longest first, while there is room."""
        if decide_refusal(self.capacity, self._processes, self._free()) is not None:
            return
        for bot_id in dict.fromkeys([*self._urgent, *self._waiting]):
            if decide_refusal(self.capacity, self._processes, self._free()) is not None:
                return
            yield bot_id

    def _free(self) -> float:
        if self._clock() - self._read_at >= _READING_S:
            self._reading, self._read_at = self._free_memory(), self._clock()
        return self._reading
