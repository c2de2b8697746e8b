"""Programs that no Python package brings."""

import os
import shutil


def find_installed(*names: str) -> str | None:
    """Return the path of the first of ``names`` that is installed, None without one."""
    # Servers are not on everybody's PATH.
    path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)
