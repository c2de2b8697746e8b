"""What is handed over of the job queue when a master is replaced by the next one in the same process.

Part of the handover's format: fields are added with defaults.

Runs in: master.
"""

from collections.abc import Iterator

import msgspec


class JobWorkerRecord(msgspec.Struct, frozen=True):
    """One worker's process: its pid, the master's end of its pipe, and its past.

    ``unread`` are bytes of a message that has not come whole, ``seen`` its descendants as (pid,
    started_ticks). Moments are monotonic seconds.
    """

    index: int
    pid: int = 0
    pipe: int = -1
    unread: bytes = b""
    state: str = ""
    started_at: float = 0.0
    heard_at: float | None = None
    act_at: float | None = None
    kill_at: float | None = None
    charged: bool = False
    seen: tuple[tuple[int, int], ...] = ()
    deaths: tuple[float, ...] = ()
    rung: int = 0
    restarts: int = 0
    reason: str | None = None


class JobsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The queue's parts that live on.

    Attributes:
        server_pid: the queue's server, 0 if there is none.
        server_lock: descriptor that holds its folder, -1 if there is none.
        listener: of the LLM backend, -1 if there is none; ``address`` is what the configuration said of it.
        workers: the worker processes.
    """

    server_pid: int = 0
    server_lock: int = -1
    listener: int = -1
    address: tuple[str, int] | None = None
    workers: list[JobWorkerRecord] = []

    def descriptors(self) -> Iterator[int]:
        """Yield every file descriptor that must stay open for the next master."""
        fds = (self.server_lock, self.listener, *(worker.pipe for worker in self.workers))
        yield from (fd for fd in fds if fd >= 0)
