"""One HTTP connection: aiohttp's, which knows since when its client keeps it waiting and logs nothing of it.

aiohttp bounds how long a connection is idle, not how long the headers of a request take, nor how long an
answer stays unread; and what is wrong with a request it logs, and quotes in its answer.

Runs in: master.
"""

import asyncio
import os
from typing import Protocol

from aiohttp import web

from brama.clock import Clock
from webhook.answers import Answer
from webhook.policy.outcomes import REPLIES, Outcome
from webhook.settings import Bounds

#: Most headers of a request; Telegram sends seven, a proxy adds some.
_MAX_HEADERS = 64


class Observer(Protocol):
    """Who keeps the open connections."""

    def opened(self, connection: "Connection") -> None: ...
    def closed(self, connection: "Connection") -> None: ...
    def refused(self, outcome: Outcome) -> None: ...
    def failed(self, error: object) -> None: ...


class Connection(web.RequestHandler):
    """What a client and the server have opened.

    Args:
        manager: aiohttp's server.
        observer: told of the connection's begin and end, of requests that are no HTTP, and of failures.
        bounds: of its idle time, and of what is left of bodies.
        clock: monotonic seconds.
        is_adopted: an earlier server has opened it, so that it may be between two requests.
    """

    __slots__ = (
        "_bounds",
        "_clock",
        "_has_heard",
        "_is_adopted",
        "_is_serving",
        "_observer",
        "_unread_since",
        "_waiting_since",
        "idle_since",
    )

    def __init__(
        self,
        manager: web.Server,
        observer: Observer,
        bounds: Bounds,
        clock: Clock,
        *,
        is_adopted: bool = False,
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=bounds.idle_s,
            access_log=None,  # type: ignore[arg-type]
            lingering_time=bounds.leftover_s,
            max_headers=_MAX_HEADERS,
            auto_decompress=False,
        )
        self._observer = observer
        self._bounds = bounds
        self._clock = clock
        self._is_adopted = is_adopted
        self._is_serving = False
        #: Something has come that no request was made of yet.
        self._has_heard = False
        #: Since when a request's head is incomplete, an answer not read: monotonic seconds.
        self._waiting_since: float | None = None
        self._unread_since: float | None = None
        self.idle_since = clock()

    @property
    def is_serving(self) -> bool:
        """Whether a request waits for its answer."""
        return self._is_serving

    def begin_request(self) -> None:
        """Note that a request's head is complete."""
        self._is_serving = True
        self._waiting_since = None

    def end_request(self) -> None:
        """Note that a request is about to be answered."""
        self._is_serving = self._has_heard = False
        self._waiting_since = None
        self.idle_since = self._clock()

    def is_overdue(self, now: float) -> bool:
        """Return whether the client has kept the connection waiting too long at ``now``."""
        if self._unread_since is not None and now - self._unread_since >= self._bounds.unread_s:
            return True
        return self._waiting_since is not None and now - self._waiting_since >= self._bounds.head_s

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is halfway: no request begun, no answer unsent."""
        if self._is_serving or self._has_heard or self._messages or self._waiter is None:
            return False
        return self.transport is not None and self.transport.get_write_buffer_size() == 0

    def hold(self) -> None:
        """Read nothing more once nothing is halfway in: what comes waits in the kernel for another reader.

        To be called again until ``is_quiet``: a request that has begun is read to its end first.
        """
        if self.transport is not None and self._is_whole():
            self.transport.pause_reading()

    def _is_whole(self) -> bool:
        if self._is_serving:
            return self._current_request is not None and self._current_request.content.is_eof()
        return not self._has_heard

    def release(self) -> int | None:
        """End this hold on the client without ending the connection; return a file descriptor of it.

        None: it has TLS, whose keys nobody else can be given, or its client has left.
        """
        transport, fd = self.transport, None
        if transport is not None and transport.get_extra_info("sslcontext") is None:
            client = transport.get_extra_info("socket")
            fd = None if client is None or client.fileno() < 0 else os.dup(client.fileno())
        self.force_close()
        return fd

    def abort(self) -> None:
        """End the connection now, whatever is unsent."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a client that says nothing is waited for as long as for a head, or as between requests."""
        self._waiting_since = self._clock()
        if self._is_adopted:
            self._waiting_since += self._bounds.idle_s - self._bounds.head_s
        self._observer.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End; a request that is being served goes on."""
        self._observer.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if data and not self._is_serving:
            self._has_heard = True
            now = self._clock()
            self._waiting_since = now if self._waiting_since is None else min(self._waiting_since, now)
        try:
            super().data_received(data)
        except Exception as error:  # no traceback: it shows what was sent
            self._observer.failed(error)
            self.abort()

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._unread_since = self._clock()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._unread_since = None
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what is no HTTP, in place of aiohttp's, which quotes and logs it."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has been begun")
        if 400 <= status < 500:
            self._observer.refused(Outcome.BAD_REQUEST)
            return Answer(REPLIES[Outcome.BAD_REQUEST])
        self._observer.failed(exc)
        return Answer(REPLIES[Outcome.UNWRITTEN])

    def log_exception(self, *_args: object, exc_info: object = None, **_kwargs: object) -> None:
        """Take what aiohttp could not cope with; it would log what was sent."""
        self._observer.failed(exc_info)
