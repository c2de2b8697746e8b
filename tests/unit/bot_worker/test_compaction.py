"""Copied code does what the original did."""

import asyncio
import gc
from collections.abc import Callable, Iterator

from bot_worker import compaction
from tests.waiting import loop_turn

_marker = object()


class Thing:
    """Something with each kind of method."""

    def __init__(self, value: int) -> None:
        self._value = value

    @property
    def value(self) -> int:
        """A property."""
        return self._value

    @staticmethod
    def double(value: int) -> int:
        """A static method."""
        return value * 2

    @classmethod
    def make(cls) -> "Thing":
        """A class method."""
        return cls(21)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) is True or isinstance(other, Thing)

    def __hash__(self) -> int:
        return 1


def _closure(step: int) -> Callable[..., int]:
    def add(number: int, *, twice: bool = False) -> int:
        return number + step * (2 if twice else 1)

    return add


def _generate(count: int) -> Iterator[int]:
    yield from (number * number for number in range(count))


async def _await() -> list[object]:
    return [number async for number in _agen()]


async def _agen():
    for number in (1.5, "a text with spaces", (1, (2, b"x")), frozenset({1}), ..., None, True, -0.0):
        await loop_turn()
        yield number


_existing = _closure(3)


def _everything() -> list[object]:
    return [
        Thing.make().value,
        Thing.double(4),
        Thing(1) == Thing(2),
        _closure(5)(1, twice=True),
        _existing(1),
        list(_generate(4)),
        asyncio.run(_await()),
        sorted([3, 1, 2], key=lambda number: -number),
        [each for each in range(3) if (lambda x: x)(each)],
    ]


def _uncalled() -> int:
    return 1


def test_functions_run_copies_that_do_the_same():
    before = _everything()
    codes = {function: function.__code__ for function in (_everything, _closure, _existing, Thing.double)}
    untouched = _uncalled.__code__
    with compaction.called_code() as called:
        _everything()
    count = compaction.gather(called)
    assert count >= len(codes)
    for function, code in codes.items():
        assert function.__code__ is not code
        assert function.__code__ == code
    assert _uncalled.__code__ is untouched
    for _ in range(20):
        assert _everything() == before


def test_functions_made_later_run_copies_too():
    with compaction.called_code() as called:
        _closure(1)(1)
    compaction.gather(called)
    inner = [const for const in _closure.__code__.co_consts if hasattr(const, "co_code")]
    assert _closure(2).__code__ in inner
    assert not any(each is inner[0] for each in called.values())


def test_filling_holes_costs_little():
    assert gc.isenabled()
    before = len(compaction._fillers)
    compaction.fill_holes()
    try:
        assert len(compaction._fillers) > before
    finally:
        del compaction._fillers[before:]
