"""Sees each of the master's updates through the application's update processor, handlers and error handlers.

Runs in: worker.
"""

import asyncio
import sys
import traceback
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from telegram.ext import BaseUpdateProcessor

from bot_worker.runtime.feeder import Feeder
from bot_worker.runtime.job_results import Takers, place_of
from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.tracker import Entry, State, Tracker, current_entry
from brama.jobs import JobResult

T = TypeVar("T")

ProcessUpdate = Callable[[BaseUpdateProcessor, object, Awaitable[Any]], Coroutine[Any, Any, None]]


class Dispatcher:
    """Stands around ``BaseUpdateProcessor.process_update`` and ``Application.create_task``."""

    def __init__(self, tracker: Tracker, feeder: Feeder, takers: Takers) -> None:
        self._tracker = tracker
        self._feeder = feeder
        self._takers = takers
        self._watches: set[weakref.ref[Any]] = set()
        #: The application that is fed, once one is.
        self.application: AnyApplication | None = None

    def process_update(
        self,
        original: ProcessUpdate,
        processor: BaseUpdateProcessor,
        update: object,
        coroutine: Coroutine[Any, Any, Any],
    ) -> Coroutine[Any, Any, None]:
        """Return what is awaited in place of ``original``; updates not of the master pass untouched."""
        entry = self._tracker.find(update)
        if entry is None or entry.dispatched:
            return original(processor, update, coroutine)
        entry.dispatched = True
        return self._process(original, processor, update, entry, coroutine)

    async def _process(
        self,
        original: ProcessUpdate,
        processor: BaseUpdateProcessor,
        update: object,
        entry: Entry,
        coroutine: Coroutine[Any, Any, Any],
    ) -> None:
        dispatched = self._dispatch(entry, coroutine)
        try:
            await original(processor, update, dispatched)
        except Exception as error:  # of the bot's own processor: the fetcher must survive it
            if self.application is None:
                raise
            await self.application.process_error(update=update, error=error)
            self._tracker.skip(entry)
        finally:
            if entry.state is State.QUEUED:
                self._skip_when_forgotten(entry, dispatched)
            self._feeder.freed()

    async def _dispatch(self, entry: Entry, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run the handlers of one update, ``coroutine``, in the name of ``entry``."""
        if not self._tracker.begin(entry):
            coroutine.close()
            return
        update = entry.update
        entry.place = place_of(update)
        if isinstance(update, JobResult):
            self._takers.look(self.application, update)
        token = current_entry.set(entry)
        try:
            await coroutine
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                self._abandon_if_torn_down(entry)
                raise
            # A handler awaited something that was cancelled. Alone this must not end the fetcher.
            self._tracker.fail(entry, error)
            traceback.print_exception(error, file=sys.stderr)
        except (KeyboardInterrupt, GeneratorExit):
            self._tracker.abandon(entry)
            raise
        finally:
            current_entry.reset(token)
            self._tracker.release(entry)
            if entry.failure is not None and entry.failure.is_retryable:
                self._feeder.give_back(entry.seq)  # it is tried again before later ones of its chat

    def _skip_when_forgotten(self, entry: Entry, dispatched: Coroutine[Any, Any, None]) -> None:
        """Mind a processor that returned before it began: it begins later, or has let go of the update."""

        def forgotten(_: object) -> None:
            self._watches.discard(watch)
            if entry.state is State.QUEUED:
                self._tracker.skip(entry)

        watch = weakref.ref(dispatched, forgotten)
        self._watches.add(watch)

    # --- tasks ------------------------------------------------------------------------------------

    def task_created(self, task: "asyncio.Task[T]", update: object) -> None:
        """``Application.create_task`` made ``task``: the update it works for is not done before it ends."""
        entry = self._tracker.of(update)
        if entry is not None:
            self._tracker.hold(entry)
            task.add_done_callback(lambda ended: self._task_ended(entry, ended))

    def _task_ended(self, entry: Entry, task: "asyncio.Task[T]") -> None:
        if task.cancelled():
            self._abandon_if_torn_down(entry)
        self._tracker.drop(entry)

    def _abandon_if_torn_down(self, entry: Entry) -> None:
        """Give an update up if all is being cancelled, the application's fetcher too, not one task."""
        fetcher = getattr(self.application, "_Application__update_fetcher_task", None)
        if fetcher is not None and (fetcher.cancelling() > 0 or fetcher.cancelled()):
            self._tracker.abandon(entry)


def is_being_cancelled() -> bool:
    """Return whether somebody asked the current task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
