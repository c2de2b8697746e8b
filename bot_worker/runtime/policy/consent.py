"""Decides whether a worker may sleep: end, and be started again by its next update, with nothing missed.

Runs in: worker.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SAVING_FAILED = "its persistence cannot be saved"

#: Names given in a reason; the rest is counted.
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Business:
    """What a worker has to do, or would lose.

    Attributes:
        is_running: its Application fetches from its queue.
        updates: of the master, that are not acknowledged.
        orders: jobs that the master has not taken over yet; one it has taken keeps nobody awake.
        queued: objects in the Application's own queue.
        tasks: of ``Application.create_task`` and handlers with ``block=False``.
        timeouts: conversations that end by themselves at some moment.
        jobs: other jobs of the JobQueue.
        own_tasks: what other asyncio tasks of the script run, by the names of their functions.
        awaits_timer: the coroutine that started to poll waits for a moment, so it has something to do then.
        threads: names of threads that are none of the interpreter's, and work.
        children: processes that the script started.
        listeners: sockets on which the script takes connections.
        kept_in_memory: kinds of state that are not empty and that no persistence keeps.
    """

    is_running: bool = True
    updates: int = 0
    orders: int = 0
    queued: int = 0
    tasks: int = 0
    timeouts: int = 0
    jobs: int = 0
    own_tasks: tuple[str, ...] = ()
    awaits_timer: bool = False
    threads: tuple[str, ...] = ()
    children: int = 0
    listeners: int = 0
    kept_in_memory: tuple[str, ...] = ()


def decide_refusal(business: Business, *, unsafe: bool) -> str | None:
    """Return in a clause what keeps the worker awake; None: it may sleep.

    Args:
        business: what it has to do.
        unsafe: state that no persistence keeps may be lost.
    """
    return next(_refusals(business, unsafe=unsafe), None)


def _refusals(business: Business, *, unsafe: bool) -> Iterator[str]:
    if not business.is_running:
        yield "its Application does not run"
    if business.updates:
        yield f"{_count(business.updates, 'update is', 'updates are')} in progress"
    if business.orders:
        yield f"{_count(business.orders, 'job is', 'jobs are')} being enqueued"
    if business.queued:
        yield f"{_count(business.queued, 'object waits', 'objects wait')} in its update_queue"
    if business.tasks:
        yield f"{_count(business.tasks, 'task', 'tasks')} of Application.create_task run"
    if business.timeouts:
        yield f"{_count(business.timeouts, 'conversation waits', 'conversations wait')} for a timeout"
    if business.jobs:
        yield f"{_count(business.jobs, 'job is', 'jobs are')} scheduled"
    if business.own_tasks:
        yield f"asyncio tasks of its own run: {_names(business.own_tasks)}"
    if business.awaits_timer:
        yield "its main coroutine waits for a timer"
    if business.threads:
        yield f"threads of its own run: {_names(business.threads)}"
    if business.children:
        yield f"{_count(business.children, 'child process runs', 'child processes run')}"
    if business.listeners:
        yield f"it listens on {_count(business.listeners, 'socket', 'sockets')}"
    if business.kept_in_memory and not unsafe:
        kinds = " and ".join(business.kept_in_memory)
        yield f"no persistence keeps its {kinds}; add one, or set idle_unsafe: true"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
