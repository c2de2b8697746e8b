"""Which scripted fault, if any, a request meets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What a fault does to a request."""

    #: No answer: for ever, or for ``seconds`` and then the normal one.
    HANG = "hang"
    #: The normal answer, byte by byte over ``seconds``.
    DRIP = "drip"
    #: The connection is reset.
    RESET = "reset"
    #: An error answer with ``status`` (502, 503 and 504 as a proxy's HTML page, others as Telegram's JSON).
    STATUS = "status"
    #: 409, as when another instance polls.
    CONFLICT = "conflict"
    #: 429 with ``retry_after`` = ``seconds``.
    RETRY_AFTER = "retry_after"
    #: 200 with bytes that are no JSON.
    GARBAGE = "garbage"
    #: The normal answer, half of it, then the connection ends.
    TRUNCATE = "truncate"
    #: The connection stays open and nobody is there: nothing is read any more, not even its end.
    HALF_OPEN = "half_open"


#: Kinds that need the normal answer and so always have the request's effect.
ALWAYS_APPLIED = frozenset({FaultKind.DRIP, FaultKind.TRUNCATE})
#: ``count`` of a fault that lasts until it is cleared.
ENDLESS = -1


@dataclass(slots=True)
class Fault:
    """One scripted fault.

    Attributes:
        bot: the numeric id it is for, None for all.
        method: the Bot API method it is for, lower case, None for all.
        applied: the request has its effect, and then the fault happens to the answer.
        left: how often it still happens, ``ENDLESS`` without end.
        fired: how often it happened.
    """

    fault_id: int
    kind: FaultKind
    bot: int | None = None
    method: str | None = None
    status: int = 500
    seconds: float | None = None
    left: int = 1
    applied: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    fired: int = 0

    def matches(self, bot: int, method: str) -> bool:
        """Tell whether this fault happens to a request."""
        return self.left != 0 and self.bot in (None, bot) and self.method in (None, method)


@dataclass(slots=True)
class FaultBook:
    """Faults in the order they were scripted; the first that matches happens."""

    faults: dict[int, Fault] = field(default_factory=dict)
    last_id: int = 0

    def next_id(self) -> int:
        """Return an id that no fault had."""
        self.last_id += 1
        return self.last_id

    def add(self, fault: Fault) -> None:
        """Script a fault."""
        self.faults[fault.fault_id] = fault

    def remove(self, fault_id: int) -> bool:
        """Clear a fault; returns whether it was there."""
        return self.faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Clear all faults."""
        self.faults.clear()

    def fire(self, bot: int, method: str) -> Fault | None:
        """Return the fault that happens to a request, and count it."""
        for fault in self.faults.values():
            if fault.matches(bot, method):
                fault.fired += 1
                if fault.left != ENDLESS:
                    fault.left -= 1
                return fault
        return None
