"""Feeds the application's own update queue, no faster than its update processor takes updates on.

What waits stays here as JSON: cheap to keep, and still to be given back when the worker drains.

Runs in: worker.
"""

import asyncio
from collections import deque
from contextvars import Context

from telegram import Bot, Update

from bot_worker.runtime.decoding import decode_entry
from bot_worker.runtime.outbox import Outbox
from bot_worker.runtime.ports import AnyApplication
from bot_worker.runtime.tracker import Tracker
from brama.jobs import JobResult
from brama.messages import Deliver

#: From this size on an update begins when it is decoded, lest one that exhausts the memory seems innocent.
LARGE_BYTES = 64 * 1024


class Feeder:
    """The updates handed over by the master that no handler has seen yet."""

    def __init__(self, tracker: Tracker, outbox: Outbox) -> None:
        self._tracker = tracker
        self._outbox = outbox
        self._backlog: deque[Deliver] = deque()
        self._taken = 0
        self._application: AnyApplication | None = None
        self._closed = False
        #: Rows that went back since a failure that is tried again. The first of them that comes once more,
        #: and whatever comes behind it, was handed over by a master that knew of the failure.
        self._fence: set[int] | None = None
        self._putting: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._backlog)

    def deliver(self, message: Deliver) -> None:
        """Take an update from the master, or give it straight back after ``close`` or ``give_back``."""
        if self._closed:
            self._outbox.returned([message.seq])
        elif self._fence is not None and message.seq not in self._fence:
            self._fence.add(message.seq)
            self._outbox.returned([message.seq])
        else:
            self._fence = None
            self._backlog.append(message)

    def open(self, application: AnyApplication) -> None:
        """Feed ``application``, which fetches from its queue from now on."""
        if not self._closed:
            self._application = application
            self.fill()

    def pause(self) -> None:
        """Feed nothing until the next ``open``."""
        self._application = None

    def freed(self) -> None:
        """The update processor is through with one that was fed: it may take another."""
        self._taken -= 1
        self.fill()

    def close(self) -> None:
        """Feed nothing any more; give back all that has not begun, and whatever comes later."""
        self._closed = True
        self._application = None
        self._outbox.returned([*self._tracker.give_back(), *self._take_backlog()])

    def give_back(self, failed: int) -> None:
        """Give back what waits here and what is on its way: what may go before ``failed`` is decided anew."""
        waiting = self._take_backlog()
        self._outbox.returned(waiting)
        self._fence = {failed, *waiting}

    def _take_backlog(self) -> list[int]:
        waiting = [message.seq for message in self._backlog]
        self._backlog.clear()
        return waiting

    def fill(self) -> None:
        """Put updates into the application's queue while its update processor has room for them."""
        application = self._application
        if application is None:
            return
        slots = application.update_processor.max_concurrent_updates
        while self._backlog and self._taken < slots and self._putting is None:
            update = self._decode(self._backlog.popleft(), application.bot)
            if update is not None:
                self._taken += 1
                self._put(application.update_queue, update)

    def _decode(self, message: Deliver, bot: Bot) -> Update | JobResult | None:
        begun = len(message.raw) >= LARGE_BYTES
        if begun:
            self._outbox.begun(message.seq)
        try:
            update = decode_entry(message, bot)
        except Exception as error:
            entry = self._tracker.add(message.seq, message, message.update_id, begun=begun)
            self._tracker.fail(entry, error)
            self._tracker.skip(entry)
            return None
        self._tracker.add(message.seq, update, message.update_id, begun=begun)
        return update

    def _put(self, queue: "asyncio.Queue[object]", update: object) -> None:
        try:
            queue.put_nowait(update)
        except asyncio.QueueFull:  # the bot's own queue, with a bound
            loop = asyncio.get_running_loop()
            self._putting = loop.create_task(self._put_later(queue, update), context=Context())

    async def _put_later(self, queue: "asyncio.Queue[object]", update: object) -> None:
        await queue.put(update)
        self._putting = None
        self.fill()
