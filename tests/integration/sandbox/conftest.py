"""The sandbox's own tests share a process a module and start each from nothing."""

from collections.abc import Iterator

import pytest

from tests.fixtures.sandbox import RunningSandbox, running_sandbox


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
