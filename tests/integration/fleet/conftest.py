"""The fleet's tests run on the loop that the master uses."""

import ctypes
from collections.abc import Iterator

import pytest
import uvloop

_PR_SET_CHILD_SUBREAPER = 36


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def gives_orphans_back() -> Iterator[None]:
    """A fleet makes its process the parent of orphans; the suite's own process is to stay what it was."""
    yield
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(0), 0, 0, 0)
