"""What the kernel holds a worker to: memory, core files, open files, rank for the OOM killer, uid.

Runs in: worker.
"""

import os
import resource
import signal
from contextlib import suppress

from bot_worker import linux

#: The soft limit of open files is lowered to this, not raised; bot code may raise it up to the hard limit.
MAX_OPEN_FILES = 4096

#: Added to a worker's badness: the kernel ends a bot before the master when memory runs out.
OOM_SCORE_ADJUSTMENT = 500


def limit_resources(memory_cap_bytes: int) -> None:
    """Set the limits a worker has from its first line of bot code to its end.

    Args:
        memory_cap_bytes: the bot's soft cap on private memory. Allocations fail at twice the cap above what
            the process maps now (inherited from the zygote), so a leak too fast for the master's samples
            gets a MemoryError of its own before the machine is out of memory. 0: no limit.
    """
    if memory_cap_bytes > 0:
        _lower(resource.RLIMIT_DATA, linux.data_bytes() + 2 * memory_cap_bytes, also_hard=True)
    _lower(resource.RLIMIT_CORE, 0, also_hard=True)
    _lower(resource.RLIMIT_NOFILE, MAX_OPEN_FILES, also_hard=False)
    with suppress(OSError), open("/proc/self/oom_score_adj", "r+") as adjustment:
        if int(adjustment.read()) < OOM_SCORE_ADJUSTMENT:
            adjustment.write(str(OOM_SCORE_ADJUSTMENT))


def drop_privileges(uid: int, gid: int) -> None:
    """Become ``uid`` and ``gid`` for good, without supplementary groups and without a way back up.

    The kernel forgets the parent-death signal at such a change, so it is set again.

    Raises:
        OSError: this process is not root.
    """
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    linux.forbid_new_privileges()
    linux.set_parent_death_signal(signal.SIGKILL)


def _lower(which: int, wanted: int, *, also_hard: bool) -> None:
    soft, hard = resource.getrlimit(which)
    highest = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    soft = highest if soft == resource.RLIM_INFINITY else min(soft, highest)
    resource.setrlimit(which, (soft, highest if also_hard else hard))
