"""What every test gets: the fixtures of tests/fixtures/, and a run that leaves no process behind."""

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.leftovers import MARKER, describe, leftovers
from tests.waiting import wait_until

pytest_plugins: list[str] = ["tests.fixtures.sandbox", "tests.fixtures.fleet", "tests.fixtures.disk"]


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the run if processes that its tests started outlive it; they are named and ended."""
    mark = os.environ[MARKER] = uuid.uuid4().hex
    folder = tmp_path_factory.getbasetemp()
    yield
    with suppress(AssertionError):
        wait_until(lambda: not leftovers(mark, folder), timeout_s=5.0)
    if left := leftovers(mark, folder):
        names = "\n  ".join(map(describe, left))
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        pytest.fail(f"processes left behind by the tests:\n  {names}", pytrace=False)
