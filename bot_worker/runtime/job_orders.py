"""Carries the bot's jobs to the master: what ``brama.enqueue`` goes through in a worker.

The pipe also carries acknowledgements, so only so much is on its way at a time; the rest waits in order.

Runs in: worker.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from bot_worker.runtime.ports import Channel
from bot_worker.runtime.tracker import NOWHERE, Entry, Place, Tracker, current_entry
from brama.errors import NotAcceptedError
from brama.jobs import JobRequest
from brama.messages import Enqueue

#: Jobs, and bytes of their payloads, that are on their way to the master; a larger one goes alone.
MAX_OPEN = 100
MAX_OPEN_BYTES = 2 * 1024 * 1024
#: How long an answer may take; a hot restart is over by then.
ANSWER_S = 60.0

#: Where the scheduled job of python-telegram-bot's JobQueue belongs that runs in this context. Its timer was
#: set in the context of some update, which is not the one that such a job works for.
current_job_place: ContextVar[Place | None] = ContextVar("brama_current_job_place", default=None)


@dataclass(frozen=True, slots=True)
class _Open:
    """A job that is not answered."""

    message: Enqueue
    answer: "asyncio.Future[str]"


class _Window:
    """The jobs on their way from one event loop; a script may have several loops, one after another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.open: dict[int, _Open] = {}
        self.turn = asyncio.Lock()
        self.freed = asyncio.Event()

    def has_room(self, size: int) -> bool:
        used = sum(len(each.message.payload) for each in self.open.values())
        return not self.open or (len(self.open) < MAX_OPEN and used + size <= MAX_OPEN_BYTES)


class JobOrders:
    """The ``Transport`` of a worker.

    Args:
        channel: the pipe.
        tracker: an update is not done while a job of it is on its way.
        loop: returns the bot's event loop, None before it has one.
        telegram_id: the bot's number, which all its keys begin with.
    """

    def __init__(
        self,
        channel: Channel,
        tracker: Tracker,
        loop: Callable[[], asyncio.AbstractEventLoop | None],
        telegram_id: int,
    ) -> None:
        self._channel = channel
        self._tracker = tracker
        self._loop = loop
        self._telegram_id = telegram_id
        self._window: _Window | None = None
        self._waiting = 0
        self._last = 0

    def __len__(self) -> int:
        return self._waiting

    async def enqueue(self, request: JobRequest) -> str:
        """Have the master take a job over; return its id.

        Raises:
            RuntimeError: the call comes from another event loop than the bot's.
            NotAcceptedError: the master refused it or did not answer.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop():
            raise RuntimeError(f"job {request.name}: enqueue it in the event loop of the bot's Application")
        if self._window is None or self._window.loop is not loop:
            self._window = _Window(loop)
        place = current_job_place.get()
        entry = current_entry.get() if place is None else None
        is_held = entry is not None and entry.is_open
        if entry is not None and is_held:
            self._tracker.hold(entry)
        self._waiting += 1
        try:
            return await self._ask(self._window, self._message(request, entry, place or NOWHERE))
        finally:
            self._waiting -= 1
            if entry is not None and is_held:
                self._tracker.drop(entry)

    def accepted(self, n: int, job_id: str) -> None:
        """The master has job number ``n``."""
        if (answer := self._answer(n)) is not None:
            answer.set_result(job_id)

    def refused(self, n: int, error: str) -> None:
        """The master does not take job number ``n``."""
        if (answer := self._answer(n)) is not None:
            answer.set_exception(NotAcceptedError(error))

    def send_again(self, ns: list[int]) -> None:
        """Another master asks for these once more."""
        for n in ns:
            if self._window is not None and (each := self._window.open.get(n)) is not None:
                self._channel.send(each.message)

    # --- inside -------------------------------------------------------------------------------------

    def _message(self, request: JobRequest, entry: Entry | None, place: Place) -> Enqueue:
        self._last += 1
        if entry is not None:
            place = entry.place
        return Enqueue(
            n=self._last,
            name=request.name,
            queue=request.queue,
            key=f"{self._telegram_id}/{self._key(request, entry)}",
            payload=request.payload,
            priority=request.priority,
            delay_ms=request.delay_ms,
            chat_id=place.chat_id,
            user_id=place.user_id,
            update_id=place.update_id,
            extra=request.extra,
        )

    def _key(self, request: JobRequest, entry: Entry | None) -> str:
        """Return the key within the bot; made of the update, it is the same when that is delivered again."""
        if request.key is not None:
            return f"key/{request.key}"
        if entry is None:
            return f"random/{secrets.token_hex(16)}"
        if entry.enqueued is None:
            entry.enqueued = Counter()
        number = entry.enqueued[request.name]
        entry.enqueued[request.name] += 1
        return f"update/{entry.update_id}/{request.name}/{number}"

    async def _ask(self, window: _Window, message: Enqueue) -> str:
        try:
            async with asyncio.timeout(ANSWER_S):
                async with window.turn:
                    while not window.has_room(len(message.payload)):
                        window.freed.clear()
                        await window.freed.wait()
                    opened = _Open(message, window.loop.create_future())
                    window.open[message.n] = opened
                try:
                    self._channel.send(message)
                    return await opened.answer
                finally:
                    del window.open[message.n]
                    window.freed.set()
        except TimeoutError:
            raise NotAcceptedError(
                f"job {message.name}: no answer from the supervisor within {ANSWER_S:g} s; it may have the "
                f"job all the same, so enqueue it again under the same key"
            ) from None

    def _answer(self, n: int) -> "asyncio.Future[str] | None":
        opened = self._window.open.get(n) if self._window is not None else None
        return None if opened is None or opened.answer.done() else opened.answer
