"""Reads from python-telegram-bot, asyncio and the kernel what this worker has to do.

Runs in: worker.
"""

import asyncio
import concurrent.futures.thread
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from telegram.ext import ConversationHandler

from bot_worker.linux import open_files, read_children
from bot_worker.runtime.live_settings import SettingsInBotData
from bot_worker.runtime.policy.consent import Business
from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.saving import is_persistent

AnyTask = asyncio.Task[Any]

_ASYNCIO_FOLDER = os.path.dirname(asyncio.__file__) + os.sep
_IDLE_IN_POOL = concurrent.futures.thread._worker.__code__


def read_business(
    application: AnyApplication | None, poller: AnyTask | None, updates: int, orders: int
) -> Business:
    """Return what the worker is about; to be called in the bot's loop.

    Args:
        application: the one that is fed, if one is.
        poller: the task that started to poll; by itself it is no work.
        updates: of the master, that are in the worker's hands.
        orders: jobs that are being handed over.
    """
    if application is None or not application.running:
        return Business(is_running=False)
    handlers = list(_conversations(application))
    timeouts = sum(len(handler.timeout_jobs) for handler in handlers)
    tasks: set[AnyTask] = application._Application__create_task_tasks  # type: ignore[attr-defined]
    return Business(
        updates=updates,
        orders=orders,
        queued=application.update_queue.qsize(),
        tasks=len(tasks),
        timeouts=timeouts,
        jobs=max(_count_jobs(application) - timeouts, 0),
        own_tasks=tuple(_own_tasks(application, poller, tasks)),
        awaits_timer=poller is not None and _awaits_timer(poller),
        threads=tuple(_busy_threads()),
        children=len(read_children()),
        listeners=sum(map(_is_listening, open_files())),
        kept_in_memory=tuple(_kept_in_memory(application, handlers)),
    )


# --- python-telegram-bot ----------------------------------------------------------------------------


def _conversations(application: AnyApplication) -> Iterator[ConversationHandler[Any]]:
    """Yield all conversation handlers, those inside of others included."""
    queue = [handler for group in application.handlers.values() for handler in group]
    while queue:
        handler = queue.pop()
        if isinstance(handler, ConversationHandler):
            yield handler
            queue += handler._child_conversations


def _count_jobs(application: AnyApplication) -> int:
    job_queue = application._job_queue
    return len(job_queue.scheduler.get_jobs()) if job_queue is not None else 0


def _kept_in_memory(application: AnyApplication, handlers: list[ConversationHandler[Any]]) -> Iterator[str]:
    persistence = application.persistence if is_persistent(application) else None
    store = persistence.store_data if persistence is not None else None
    if any(handler._conversations and not (persistence and handler.persistent) for handler in handlers):
        yield "conversations"
    if any(application.user_data.values()) and not (store and store.user_data):
        yield "user_data"
    if any(application.chat_data.values()) and not (store and store.chat_data):
        yield "chat_data"
    if _has_own(application.bot_data) and not (store and store.bot_data):
        yield "bot_data"
    cache = getattr(application.bot, "callback_data_cache", None)
    if cache is not None and cache.persistence_data[0] and not (store and store.callback_data):
        yield "callback_data"


def _has_own(bot_data: object) -> bool:
    """Return whether there is something in bot_data beside the settings that the supervisor put there."""
    if isinstance(bot_data, Mapping):
        return any(not isinstance(value, SettingsInBotData) for value in bot_data.values())
    return bool(bot_data)


# --- asyncio ----------------------------------------------------------------------------------------


def _own_tasks(application: AnyApplication, poller: AnyTask | None, tasks: set[AnyTask]) -> Iterator[str]:
    """Yield what the tasks run that neither python-telegram-bot, nor asyncio, nor we have started."""
    known = {
        asyncio.current_task(),
        poller,
        application._Application__update_fetcher_task,  # type: ignore[attr-defined]
        application._Application__update_persistence_task,  # type: ignore[attr-defined]
        *tasks,
    }
    others = [task for task in asyncio.all_tasks() - known if not _is_asyncios(task)]
    for task in others:
        if not _awaits_only(task, poller):
            yield getattr(task.get_coro(), "__qualname__", task.get_name())


def _is_asyncios(task: AnyTask) -> bool:
    """Return whether ``task`` is a part of a task that waits for it, as ``wait_for`` makes one."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.startswith(_ASYNCIO_FOLDER)


def _awaits_only(task: AnyTask, poller: AnyTask | None) -> bool:
    """Return whether all that ``task`` does is to wait for ``poller``, itself or with ``gather``."""
    awaited = getattr(task, "_fut_waiter", None)
    return awaited is not None and (awaited is poller or getattr(awaited, "_children", None) == [poller])


def _awaits_timer(task: AnyTask) -> bool:
    """Return whether ``task`` sleeps, or waits with a timeout; not known of other loops than asyncio's."""
    awaited = getattr(task, "_fut_waiter", None)
    timers = getattr(asyncio.get_running_loop(), "_scheduled", ())
    return awaited is not None and any(
        not timer.cancelled() and _is_timer_of(timer, task, awaited) for timer in timers
    )


def _is_timer_of(timer: asyncio.TimerHandle, task: AnyTask, awaited: object) -> bool:
    callback, arguments = timer._callback, timer._args  # type: ignore[attr-defined]
    if any(argument is awaited for argument in arguments or ()):
        return True
    return getattr(getattr(callback, "__self__", None), "_task", None) is task  # asyncio.timeout


# --- the process ------------------------------------------------------------------------------------


def _busy_threads() -> Iterator[str]:
    """Yield names of threads that keep the interpreter from ending, less those that only wait for work."""
    frames = sys._current_frames()
    pooled = concurrent.futures.thread._threads_queues
    for thread in threading.enumerate():
        if thread.daemon or thread is threading.current_thread():
            continue
        frame = frames.get(thread.ident or 0)
        is_idle = frame is not None and (
            (thread in pooled and frame.f_code is _IDLE_IN_POOL)
            or (thread is threading.main_thread() and frame.f_code.co_filename == threading.__file__)
        )
        if not is_idle:
            yield thread.name


def _is_listening(fd: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(fd)) as duplicate:
            return bool(duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # no socket
        return False
