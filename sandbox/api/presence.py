"""Notices clients that hang up while the server keeps them waiting.

aiohttp can cancel a handler when its client goes, but it then also drops requests that arrived whole just
before: a bot that is killed right after it sent a message has sent it. So handlers run to their end here, and
those that wait are told.
"""

import asyncio
from typing import TypeVar

from aiohttp import web

T = TypeVar("T")

#: How long a client can be gone before that is noticed, in seconds.
SWEEP_S = 0.25


class ClientGoneError(ConnectionResetError):
    """The client hung up; nobody reads the answer."""


class Presence:
    """Clients that are kept waiting; one timer looks after all of them while there are any."""

    __slots__ = ("_sweeping", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[object], web.BaseRequest] = {}
        self._sweeping = False

    async def wait(self, request: web.BaseRequest, awaited: "asyncio.Future[T]") -> T:
        """Wait for ``awaited``.

        Raises:
            ClientGoneError: the client of ``request`` hung up first.
        """
        self._waiting[awaited] = request  # type: ignore[index]  # a future is a key here, whatever its result
        self._look_again()
        try:
            return await awaited
        finally:
            del self._waiting[awaited]  # type: ignore[arg-type]

    async def sleep(self, request: web.BaseRequest, seconds: float | None) -> None:
        """Wait so long, for ever if None.

        Raises:
            ClientGoneError: the client of ``request`` hung up first.
        """
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[None] = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, finish, awaited, None)
        try:
            await self.wait(request, awaited)
        finally:
            if timer is not None:
                timer.cancel()

    def _look_again(self) -> None:
        if self._waiting and not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        for awaited, request in self._waiting.items():
            if request.transport is None and not awaited.done():
                awaited.set_exception(ClientGoneError("the client hung up"))
        self._look_again()


def finish(future: "asyncio.Future[T]", result: T) -> None:
    """Give a future its result unless it is done."""
    if not future.done():
        future.set_result(result)
