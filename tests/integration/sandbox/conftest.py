"""The sandbox's own tests share a process a module and start each from nothing."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.fixtures.sandbox import RunningSandbox, running_sandbox
from tests.integration.sandbox.receiver import Receiver, listening


@pytest.fixture(scope="module")
def sandbox_of_module() -> Iterator[RunningSandbox]:
    """One process for the tests of a module."""
    with running_sandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_of_module: RunningSandbox) -> RunningSandbox:
    """A sandbox that knows nothing."""
    sandbox_of_module.control.reset()
    return sandbox_of_module


@pytest.fixture
def hasty(sandbox: RunningSandbox) -> RunningSandbox:
    """A sandbox that knows nothing, and whose pauses between deliveries are a hundredth of Telegram's."""
    sandbox.control.set_limits(webhook_pause_scale=0.01)
    return sandbox


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook that takes everything."""
    async with listening() as receiver:
        yield receiver
