"""Starts an updater that fetches nothing: updates come over the pipe.

Runs in: worker.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from telegram.ext import Updater

from bot_worker.runtime.worker import Worker


async def start(worker: Worker, updater: Updater, arguments: Mapping[str, Any]) -> "asyncio.Queue[object]":
    """Stand for ``start_polling`` and ``start_webhook``, which were called with ``arguments``.

    Raises:
        RuntimeError: the updater is running or was not initialized, in python-telegram-bot's own words.
        TypeError: the error callback is a coroutine function.
    """
    if asyncio.iscoroutinefunction(arguments.get("error_callback")):
        raise TypeError(
            "The `error_callback` must not be a coroutine function! Use an ordinary function instead. "
        )
    lock: asyncio.Lock = updater._Updater__lock  # type: ignore[attr-defined]
    async with lock:
        if updater.running:
            raise RuntimeError("This Updater is already running!")
        if not updater._initialized:
            raise RuntimeError("This Updater was not initialized via `Updater.initialize`!")
        if arguments.get("drop_pending_updates"):
            worker.calls.say_nothing_dropped()
        worker.calls.webhook_url = arguments.get("webhook_url") or ""
        worker.session.polling_wanted(updater)
        updater._running = True
        worker.session.polling_started(arguments.get("allowed_updates"))
    return updater.update_queue
