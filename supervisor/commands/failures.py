"""Says what went wrong, and with which exit code.

Runs in: command line | master (before it is ready).
"""

import sys

from brama.errors import BramaError, ConfigError, NoMasterError, UnreachableError
from brama.exit_codes import ExitCode

#: What a shell reports of a process that SIGINT ended.
INTERRUPTED = 130


def say_failure(error: BramaError) -> ExitCode:
    """Write ``error`` to stderr, one line for each thing that is wrong; return its exit code."""
    notes = getattr(error, "__notes__", ())
    end = f" ({'; '.join(notes)})" if notes else ""
    for line in str(error).splitlines() or [type(error).__name__]:
        sys.stderr.write(f"brama-supervisor: {line}{end}\n")
    match error:
        case ConfigError():
            return ExitCode.CONFIG
        case NoMasterError() | UnreachableError():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED
