"""Programs that tests run for real and that no Python package brings."""

import os

import pytest

from benchmarks.programs import find_installed


def find_program(*names: str, package: str) -> str:
    """Return the path of the first of ``names`` that is installed.

    Without one the test is skipped on a laptop, and fails where CI=true. ``package`` is Debian's.
    """
    if (found := find_installed(*names)) is not None:
        return found
    reason = f"no {names[0]} here; install it (Debian: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
