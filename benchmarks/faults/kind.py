"""What a kind of fault is."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.play import Play
from benchmarks.schedule import Blow


def _nothing_missing(_play: Play) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: what the table calls it.
        weight: how often it comes in relation to the others.
        strike: lets it happen and notes it in the play; returns False if it cannot just now, then it is tried
            again. What has to be undone later is left with ``Play.later``.
        find_missing: returns why this machine cannot have it, None if it can.
    """

    name: str
    weight: int
    strike: Callable[[Play, Blow], bool]
    find_missing: Callable[[Play], str | None] = _nothing_missing
