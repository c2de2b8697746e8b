"""Tells whether one of the bot's error handlers took an exception.

``Application.process_error`` reports that to nobody, so for the master's updates it is done here, in the same
steps and words.

Runs in: worker.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from telegram._utils.defaultvalue import DEFAULT_TRUE
from telegram.ext import ApplicationHandlerStop, ExtBot, Job

from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.saving import saving_errors
from bot_worker.runtime.tracker import Entry, Tracker, current_entry

_log = logging.getLogger("telegram.ext.Application")

ProcessError = Callable[..., Awaitable[bool]]


class _Outcome:
    """What became of one exception at the hands of the error handlers, some of which may run as tasks."""

    def __init__(self, tracker: Tracker, entry: Entry, error: Exception) -> None:
        self._tracker = tracker
        self._entry = entry
        self._error = error
        self._taken = False
        self._open = 1

    def took(self) -> None:
        """One of them has finished."""
        self._taken = True

    def raised(self, error: Exception) -> None:
        """One of them has raised ``error``."""
        self._error = error

    async def in_task(self, callback: Awaitable[object]) -> None:
        """Run an error handler that is a task."""
        try:
            await callback
        except ApplicationHandlerStop:
            self._taken = True
            raise
        except Exception as error:
            self._error = error
            raise
        else:
            self._taken = True
        finally:
            self.close()

    def open(self) -> None:
        """One of them is to run as a task."""
        self._open += 1

    def close(self) -> None:
        """Such a task has ended, or all others have: decide when nothing is open."""
        self._open -= 1
        if not self._open and not self._taken:
            self._tracker.fail(self._entry, self._error)


class ErrorHandling:
    """Stands for ``Application.process_error``."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def context_failed(self, error: BaseException) -> None:
        """The bot's own context class raised, so no handler gets the update; the library only logs that."""
        entry = current_entry.get()
        if entry is not None:
            self._tracker.fail(entry, error)

    async def process_error(
        self,
        original: ProcessError,
        application: AnyApplication,
        update: object | None,
        error: Exception,
        job: "Job[Any] | None",
        coroutine: "Coroutine[Any, Any, Any] | None",
    ) -> bool:
        """Do as ``original`` and note in whose name the error stays untaken."""
        entry = None
        if update is None and job is None and coroutine is None:
            if (errors := saving_errors.get()) is not None:
                errors.append(error)
        elif job is None:
            entry = self._tracker.of(update)
        if entry is None:
            return await original(application, update, error, job, coroutine)
        if not application.error_handlers:
            self._tracker.fail(entry, error)
            return await original(application, update, error, job, coroutine)
        outcome = _Outcome(self._tracker, entry, error)
        try:
            return await self._call_handlers(application, update, error, coroutine, outcome)
        finally:
            outcome.close()

    async def _call_handlers(
        self,
        application: AnyApplication,
        update: object | None,
        error: Exception,
        coroutine: "Coroutine[Any, Any, Any] | None",
        outcome: _Outcome,
    ) -> bool:
        for callback, block in list(application.error_handlers.items()):
            try:
                context = application.context_types.context.from_error(
                    update=update, error=error, application=application, job=None, coroutine=coroutine
                )
            except Exception as broken:
                _log.critical(
                    "Error while building CallbackContext for exception %s. "
                    "Exception will not be processed by error handlers.",
                    error,
                    exc_info=broken,
                )
                return False
            if not block or (block is DEFAULT_TRUE and _defaults_to_tasks(application)):
                outcome.open()
                application._Application__create_task(  # type: ignore[attr-defined]
                    outcome.in_task(callback(update, context)),
                    update=update,
                    is_error_handler=True,
                    name=f"Application:{application.bot.id}:process_error:non_blocking",
                )
                continue
            try:
                await callback(update, context)
            except ApplicationHandlerStop:
                outcome.took()
                return True
            except Exception as raised:
                outcome.raised(raised)
                _log.exception(
                    "An error was raised and an uncaught error was raised while "
                    "handling the error with an error_handler.",
                    exc_info=raised,
                )
            else:
                outcome.took()
        return False


def _defaults_to_tasks(application: AnyApplication) -> bool:
    """Return whether the bot's Defaults say ``block=False``."""
    bot = application.bot
    return isinstance(bot, ExtBot) and bot.defaults is not None and not bot.defaults.block


def watch_contexts(logger: logging.Logger, handling: Callable[[], ErrorHandling | None]) -> None:
    """Hear of contexts that cannot be built: ``Application.process_update`` tells only ``logger``."""
    original = logger.critical

    def critical(text: object, *args: Any, exc_info: Any = None, **kwargs: Any) -> None:
        listener = handling()
        if listener is not None and str(text).startswith("Error while building CallbackContext for update"):
            listener.context_failed(exc_info)
        original(text, *args, exc_info=exc_info, stacklevel=2, **kwargs)

    logger.critical = critical  # type: ignore[assignment, method-assign]
