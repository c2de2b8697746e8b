"""Follows the script's application from its first step in a loop to its end.

Updates are fed while its updater polls, as far as it knows, and the application runs; the master is told the
first time both hold.

Runs in: worker.
"""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from telegram.ext import Updater

from bot_worker.runtime.acknowledging import Acknowledger
from bot_worker.runtime.bot_calls import BotCalls
from bot_worker.runtime.dispatching import Dispatcher
from bot_worker.runtime.feeder import Feeder
from bot_worker.runtime.heartbeat import Heartbeat
from bot_worker.runtime.live_settings import LiveSettings
from bot_worker.runtime.ports import AnyApplication, Channel
from bot_worker.runtime.saving import is_persistent
from brama.exit_codes import ExitCode
from brama.messages import BootFailed, Ready, ToWorker

OnMessages = Callable[[list[ToWorker]], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a session sets in motion and stops."""

    channel: Channel
    acknowledger: Acknowledger
    calls: BotCalls
    dispatcher: Dispatcher
    feeder: Feeder
    heartbeat: Heartbeat
    settings: LiveSettings
    #: Ends the process with this code, after what is left to say was said.
    end: Callable[[int], NoReturn]


class Session:
    """One script's one application; each method is told of something that application does."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pid = os.getpid()
        self._started: list[AnyApplication] = []
        self._updater: Updater | None = None
        self._allowed_updates: list[str] | None = None
        self._stopping = False
        self._signalled = False
        self._managed: AnyApplication | None = None
        self.on_messages: OnMessages = lambda _: None
        #: What handles SIGTERM when the script does not.
        self.own_handler: object = None
        #: The loop the application lives in, once it does.
        self.loop: asyncio.AbstractEventLoop | None = None
        #: Whether the master was told that updates may come.
        self.ready = False
        #: Whether a signal ended ``run_polling``.
        self.was_interrupted = False
        #: Whether the worker was told to end.
        self.draining = False
        #: The script's task that started to poll; it has ended, or waits for the end of the bot.
        self.poller: asyncio.Task[Any] | None = None

    # --- towards being ready ------------------------------------------------------------------------

    def initializes(self, application: AnyApplication) -> None:
        """``Application.initialize`` begins: often the script's first step in a loop."""
        if application.updater is not None:
            self._parts.calls.adopt_first(application.bot)
            if os.getpid() != self._pid:
                return
            if self.loop is None or not self.loop.is_running():
                self._enter_loop()

    def _enter_loop(self) -> None:
        """Listen to the master in the running loop."""
        loop = asyncio.get_running_loop()
        if loop is not self.loop:
            self.loop = loop
            self._parts.channel.attach(loop, self.on_messages)
            self._parts.heartbeat.start(loop)

    def initialized(self, application: AnyApplication) -> None:
        """``Application.initialize`` is through: persistence is loaded."""
        if application.updater is not None:
            self._parts.settings.put_into(application)
        if self.draining and application is self._managed:
            application.stop_running()  # said again: initializing forgets it

    def polling_wanted(self, updater: Updater) -> None:
        """``updater`` is about to poll; the process ends here if that must not be."""
        if os.getpid() != self._pid:
            self._say_refused("an Application started to poll in a process that the script forked")
            os._exit(ExitCode.CONFIG)  # nothing more: its loop may share a selector with ours
        if self._updater is not None and updater is not self._updater:
            if self._is_over():
                self._parts.end(ExitCode.OK)
            self._say_refused("a second Application started to poll")
            self._parts.end(ExitCode.CONFIG)
        self._updater = updater
        self.poller = asyncio.current_task()
        self._enter_loop()
        self._parts.calls.adopt(updater.bot)

    def _say_refused(self, what: str) -> None:
        detail = f"{what}; give each bot a script of its own"
        self._parts.channel.send_now([BootFailed("two_applications", detail)])

    def polling_started(self, allowed_updates: Sequence[str] | None) -> None:
        """The wanted updater polls, as far as the script knows."""
        if allowed_updates is not None:
            self._allowed_updates = [str(getattr(kind, "value", kind)) for kind in allowed_updates]
        self._stopping = False
        self._open_if_complete()

    def started(self, application: AnyApplication) -> None:
        """``Application.start`` is through: its queue is fetched from."""
        self._started.append(application)
        fetcher: asyncio.Task[None] = application._Application__update_fetcher_task  # type: ignore[attr-defined]
        fetcher.add_done_callback(lambda task: self._fetcher_ended(application, task))
        self._open_if_complete()

    def _fetcher_ended(self, application: AnyApplication, fetcher: "asyncio.Task[None]") -> None:
        """End the process if ``application`` goes on without fetching updates, which helps nobody."""
        error = None if fetcher.cancelled() else fetcher.exception()
        if isinstance(error, Exception) and application is self._parts.dispatcher.application:
            sys.stderr.write("brama: the application can fetch no more updates, so its worker ends:\n")
            traceback.print_exception(error)
            self._parts.end(ExitCode.FAILED)

    def _open_if_complete(self) -> None:
        updater = self._updater
        if updater is None or not updater.running:
            return
        for application in self._started:
            if application.updater is updater or application.update_queue is updater.update_queue:
                self._open(application)

    def _open(self, application: AnyApplication) -> None:
        assert self.loop is not None
        self._parts.dispatcher.application = application
        if is_persistent(application):
            self._parts.acknowledger.keep_for(application)
        if self.draining:
            self.loop.call_soon(self.end_script)
            return
        self._parts.feeder.open(application)
        if not self.ready:
            self.ready = self._parts.calls.serving = True
            self._parts.channel.send(
                Ready(
                    self._allowed_updates,
                    application.update_processor.max_concurrent_updates,
                    is_persistent(application),
                )
            )
            self._parts.heartbeat.start(self.loop)

    # --- towards the end ----------------------------------------------------------------------------

    def polling_stops(self, updater: Updater) -> None:
        """``updater`` is about to stop, for good or to start again."""
        if updater is self._updater:
            self._stopping = self._managed is not None
            self._parts.feeder.pause()

    def stops(self, application: AnyApplication) -> None:
        """``application`` is about to stop, for good or to start again."""
        if application in self._started:
            self._started.remove(application)
        if application is self._parts.dispatcher.application:
            self._parts.feeder.pause()

    def loop_stops(self) -> None:
        """The loop of ``run_polling`` is being ended; nothing must end it again."""
        self._stopping = True

    def interrupted(self) -> None:
        """``run_polling`` was ended by a signal."""
        self._stopping = self.was_interrupted = True

    def run_begins(self, application: AnyApplication) -> None:
        """``run_polling`` or ``run_webhook`` was called.

        Called again after it has ended, or after the worker was told to end, it ends the process: the
        supervisor starts the bot afresh, if it is to run.
        """
        if self._is_over():
            self._parts.end(ExitCode.OK)
        self._managed = application
        self._parts.calls.adopt(application.bot)

    def run_ended(self) -> None:
        """``run_polling`` or ``run_webhook`` has come back."""
        self._managed = None
        if self.draining and threading.current_thread() is not threading.main_thread():
            os.kill(os.getpid(), signal.SIGINT)  # the script's main thread has its own business

    def _is_over(self) -> bool:
        return self.draining or (self.ready and not (self._updater and self._updater.running))

    def end_script(self) -> None:
        """Have the script end as on its operator's Ctrl-C; to be called from a callback of the loop."""
        if self._managed is not None:
            if not self._stopping:
                self._managed.stop_running()
            return
        if self._signalled:
            return
        self._signalled = True
        if _has_handler(signal.SIGTERM, besides=self.own_handler):
            os.kill(os.getpid(), signal.SIGTERM)
        elif _has_handler(signal.SIGINT):
            os.kill(os.getpid(), signal.SIGINT)
        else:
            raise SystemExit(ExitCode.OK)


def _has_handler(number: signal.Signals, besides: object = None) -> bool:
    handler: Any = signal.getsignal(number)
    return handler not in (None, signal.SIG_DFL, signal.SIG_IGN, besides)
