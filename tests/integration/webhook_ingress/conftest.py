"""One sandbox for a file of tests, emptied for each, on the loop that the master uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.fixtures.sandbox import RunningSandbox, running_sandbox
from tests.integration.webhook_ingress.stage import Home
from tests.ports import free_port


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[RunningSandbox]:
    """A sandbox process."""
    with running_sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    """The sandbox, as if it had just been started; its pauses between deliveries are short."""
    shared_sandbox.control.reset()
    shared_sandbox.control.set_limits(webhook_pause_scale=0.01)
    return shared_sandbox


@pytest.fixture
def home(sandbox: RunningSandbox, tmp_path: Path) -> Home:
    """A place for masters that begins empty."""
    return Home(sandbox, tmp_path, free_port())
