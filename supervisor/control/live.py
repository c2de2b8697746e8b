"""Shows a running master's own fleet in its terminal: a live table, or a line of progress now and then.

Drawing happens in a thread of its own: a terminal that takes no output (Ctrl-S, a stopped ssh) must not stop
the master. Snapshots are taken in the event loop, drawn ones replace one another.

Runs in: master.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from supervisor.control.policy.progress import describe_progress, progress_of
from supervisor.control.ports import Master
from supervisor.control.status import MasterState, Status
from supervisor.control.table import StatusTable

REFRESH_S = 1.0
#: Snapshots of a large fleet take the event loop's time; the pause between two is this many times as long.
_SPARE = 20
#: Between two lines of progress where there is no terminal.
PROGRESS_S = 2.0
#: How long the thread is waited for at the end; a blocked terminal keeps it for ever.
_JOIN_S = 1.0


class LiveTable:
    """The fleet's table on the terminal until closed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._latest: Status | None = None
        self._fresh = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._draw, name="brama-table", daemon=True)

    async def show(self, master: Master) -> None:
        """Draw until cancelled."""
        self._thread.start()
        try:
            loop = asyncio.get_running_loop()
            while True:
                began_at = loop.time()
                self.update(master.status())
                await asyncio.sleep(max(REFRESH_S, _SPARE * (loop.time() - began_at)))
        finally:
            self.close()

    def update(self, status: Status) -> None:
        """Have ``status`` drawn soon; never blocks."""
        self._latest = status
        self._fresh.set()

    def close(self) -> None:
        """Give the terminal back."""
        self._closing = True
        self._fresh.set()
        self._thread.join(_JOIN_S)

    def _draw(self) -> None:
        # A terminal that went away is no reason to say more on it.
        with (
            contextlib.suppress(OSError),
            Live(console=self._console, screen=True, auto_refresh=False, redirect_stderr=False) as live,
        ):
            processes = 0
            while not self._closing:
                self._fresh.wait()
                self._fresh.clear()
                if (status := self._latest) is None:
                    continue
                progress = progress_of(status)
                processes = max(processes, progress.alive)
                note = "Ctrl-C stops the fleet gracefully; a second one at once"
                if progress.state is not MasterState.RUNNING:
                    note = describe_progress(progress, processes)
                live.update(StatusTable(status, is_bounded=True, note=note), refresh=True)


async def report_progress(master: Master, say: Callable[[str], None]) -> None:
    """Call ``say`` with ``starting 120/200`` and the like while the fleet starts and stops; until cancelled.

    A fleet that needs less than PROGRESS_S for either says nothing of it.
    """
    said = ""
    processes = 0
    is_up = False
    while True:
        await asyncio.sleep(PROGRESS_S)
        if is_up and master.health().state != MasterState.STOPPING:
            continue  # a snapshot of ten thousand bots is no trifle
        progress = progress_of(master.status())
        processes = max(processes, progress.alive)
        is_up = progress.state is MasterState.RUNNING
        words = describe_progress(progress, processes)
        if words != said and (said or not is_up):
            say(words)
            said = words
