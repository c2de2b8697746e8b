"""Waiting for conditions: the one place of the suite where a pause may stand.

A deadline here is a limit after which the test is wrong, never a measure of speed: waiting ends as soon as
the condition holds.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Event
from typing import TypeVar, overload

from brama.clock import monotonic_s

T = TypeVar("T")

#: Between two looks at the condition.
PAUSE_S = 0.02


def wait_until(predicate: Callable[[], T], timeout_s: float = 20.0, what: str = "") -> T:
    """Call ``predicate`` until it returns something true, and return that.

    Raises AssertionError naming ``what`` (else the predicate) and the last value after ``timeout_s`` seconds.
    """
    deadline = monotonic_s() + timeout_s
    while not (value := predicate()):
        if monotonic_s() >= deadline:
            raise AssertionError(_overdue(predicate, value, timeout_s, what))
        Event().wait(PAUSE_S)
    return value


@overload
async def await_until(
    predicate: Callable[[], Awaitable[T]], timeout_s: float = 20.0, what: str = ""
) -> T: ...


@overload
async def await_until(predicate: Callable[[], T], timeout_s: float = 20.0, what: str = "") -> T: ...


async def await_until(predicate: Callable[[], object], timeout_s: float = 20.0, what: str = "") -> object:
    """As ``wait_until``, while the event loop goes on; ``predicate`` may be a coroutine function."""
    deadline = monotonic_s() + timeout_s
    while True:
        result = predicate()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        if monotonic_s() >= deadline:
            raise AssertionError(_overdue(predicate, value, timeout_s, what))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), PAUSE_S)


async def loop_turn() -> None:
    """Let everything that is ready in the event loop run once."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


def _overdue(predicate: Callable[[], object], value: object, timeout_s: float, what: str) -> str:
    named = what or getattr(predicate, "__qualname__", repr(predicate))
    return f"waited {timeout_s:g} s in vain for: {named} (last value: {value!r})"
