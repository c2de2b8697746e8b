"""Programs that tests run for real and that no Python package brings."""

import os
import shutil

import pytest


def find_program(*names: str, package: str) -> str:
    """Return the path of the first of ``names`` that is installed.

    Without one the test is skipped on a laptop, and fails where CI=true. ``package`` is Debian's.
    """
    # Servers are not on everybody's PATH.
    path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
    for name in names:
        if (found := shutil.which(name, path=path)) is not None:
            return found
    reason = f"no {names[0]} here; install it (Debian: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
