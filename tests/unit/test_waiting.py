"""The helpers of the suite itself: waiting for a condition."""

from collections.abc import Callable

import pytest

from tests.waiting import await_until, wait_until


def counting(until: int) -> Callable[[], int]:
    """Return a predicate that is 0 until it has been asked ``until`` times."""
    asked = 0

    def predicate() -> int:
        nonlocal asked
        asked += 1
        return asked if asked >= until else 0

    return predicate


def test_wait_until_returns_the_first_true_value() -> None:
    assert wait_until(counting(3)) == 3


def test_wait_until_names_what_it_waited_for_and_what_it_saw() -> None:
    with pytest.raises(AssertionError, match=r"waited 0 s in vain for: the bot to run \(last value: \[\]\)"):
        wait_until(list, timeout_s=0, what="the bot to run")


async def test_await_until_takes_functions_and_coroutine_functions() -> None:
    predicate = counting(2)

    async def asynchronous() -> int:
        return predicate()

    assert await await_until(counting(2)) == 2
    assert await await_until(asynchronous) == 2


async def test_await_until_names_the_predicate_when_nothing_else_is_said() -> None:
    with pytest.raises(AssertionError, match=r"waited 0 s in vain for: list"):
        await await_until(list, timeout_s=0)
