"""What children of the job queue need of Linux and Python's standard library does not offer.

Runs in: master | job worker.
"""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Have the kernel send ``signal_number`` to this process when its parent dies; kept over an exec.

    Called between fork and exec. To the kernel the parent is the thread that forked: it has to live as long
    as the process. ``parent_pid`` is the parent's own pid: if it died before the call, this process ends now.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)
