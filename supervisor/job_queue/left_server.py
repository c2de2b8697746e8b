"""Ends a queue server that has outlived a master which was killed.

A server ends with its master by a signal, which one that is stopped or hangs does not heed. It would hold the
folder's lock for good. Servers overwrite their environment with their title, so that is what tells it.

Runs in: master, of which there is one for each state directory.
"""

from brama.log import get_logger
from supervisor.fleet.linux import all_pids, kill_exactly, read_stat, read_title

log = get_logger(__name__)


def end_left_server(url: str) -> None:
    """SIGKILL servers that listen on ``url``, a unix:// address of our own.

    What they were told is in their file, as after any crash.
    """
    address = f"unixsocket:{url.removeprefix('unix://')}"
    for pid in all_pids():
        stat = read_stat(pid)
        if stat is None or stat.is_zombie or f" {address} " not in f"{read_title(pid)} ":
            continue
        kill_exactly(stat)
        log.warning("queue.left_server_ended", pid=pid)
