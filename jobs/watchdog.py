"""Kills a worker whose event loop stands still.

Locks are renewed in the loop. A handler that blocks it would keep its worker from renewing them, others would
take its jobs, and they would run twice at once; a dead worker's jobs run once more, after it.

Runs in: job worker.
"""

import asyncio
import faulthandler
import os
import signal
import threading
from collections.abc import Callable

from brama.clock import monotonic_s
from jobs.policy.limits import LOCK_S

#: Locks are renewed when they have half their time left, so this long is safe.
BLOCKED_S = LOCK_S / 2
_BEAT_S = 0.5


class Watchdog:
    """A thread that looks at the running loop; made inside it.

    Args:
        on_blocked: called in the thread, before the process is killed.
    """

    def __init__(self, on_blocked: Callable[[], None]) -> None:
        self._on_blocked = on_blocked
        self._loop = asyncio.get_running_loop()
        self._seen_at = monotonic_s()
        self._ended = threading.Event()
        self._beat()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()

    def _beat(self) -> None:
        self._seen_at = monotonic_s()
        if not self._ended.is_set():
            self._loop.call_later(_BEAT_S, self._beat)

    def _watch(self) -> None:
        while not self._ended.wait(_BEAT_S):
            if monotonic_s() - self._seen_at > BLOCKED_S:
                faulthandler.dump_traceback()
                self._on_blocked()
                self._ended.wait(_BEAT_S)  # for the log's thread
                os.kill(os.getpid(), signal.SIGKILL)
