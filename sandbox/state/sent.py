"""What bots sent: a log of their calls that can be waited on."""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

from brama.clock import monotonic_s
from sandbox.state.signal import Signal

#: Entries a log keeps; older ones are forgotten, indexes go on.
CAPACITY = 200_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One call that took effect.

    Attributes:
        index: its number among the calls of this bot, from 1.
        at_ms: when it arrived, in milliseconds of the monotonic clock, comparable between processes.
        message_id: of the (first) message it made or changed, if it did.
    """

    index: int
    bot: int
    method: str
    params: dict[str, Any]
    at_ms: float
    message_id: int | None

    def as_json(self, index: int) -> dict[str, Any]:
        """Return the entry as the control API shows it, under the index of the log it was read from."""
        entry: dict[str, Any] = {
            "index": index,
            "bot": self.bot,
            "method": self.method,
            "params": self.params,
            "at_ms": self.at_ms,
        }
        if self.message_id is not None:
            entry["message_id"] = self.message_id
        return entry


class SentLog:
    """Entries in order, numbered from 1."""

    __slots__ = ("_entries", "changed", "last")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._entries: deque[Sent] = deque(maxlen=capacity)
        self.last = 0
        self.changed = Signal()

    def append(self, entry: Sent) -> None:
        """Add an entry and wake who waits for it."""
        self.last += 1
        self._entries.append(entry)
        self.changed.notify()

    def clear(self) -> None:
        """Start again from 1."""
        self._entries.clear()
        self.last = 0
        self.changed.notify()

    def after(self, index: int, method: str | None = None) -> list[tuple[int, Sent]]:
        """Return the entries past ``index`` with their numbers, of one method if ``method`` is given."""
        first = self.last - len(self._entries)
        skip = max(0, index - first)
        numbered = enumerate(islice(self._entries, skip, None), start=first + skip + 1)
        return [(number, entry) for number, entry in numbered if method is None or entry.method == method]

    async def wait_for(
        self, index: int, count: int, method: str | None, wait_s: float
    ) -> list[tuple[int, Sent]]:
        """Wait at most ``wait_s`` seconds for ``count`` entries past ``index``; return what is there."""
        deadline_at = monotonic_s() + wait_s
        while True:
            if self.last - index >= count:
                found = self.after(index, method)
                if len(found) >= count:
                    return found
            if not await self.changed.wait_until(deadline_at):
                return self.after(index, method)
