"""What a folder needs so that a file renamed in it stays renamed.

Runs in: master | worker.
"""

import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` outlive a power cut (fsync); a file system that cannot is no error."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
