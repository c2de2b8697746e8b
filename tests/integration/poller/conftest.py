"""One sandbox for a file of tests, emptied for each."""

from collections.abc import Iterator

import pytest

from tests.fixtures.sandbox import RunningSandbox, running_sandbox


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[RunningSandbox]:
    """A sandbox process."""
    with running_sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    """The sandbox, as if it had just been started."""
    shared_sandbox.control.reset()
    return shared_sandbox
