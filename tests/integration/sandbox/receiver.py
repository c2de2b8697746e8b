"""A webhook in the test process, which answers as it is told."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[["Received"], web.Response | Awaitable[web.Response]]


@dataclass(frozen=True)
class Received:
    """One request: its headers, its bytes, who sent it."""

    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]
    path: str

    @property
    def update(self) -> dict[str, Any]:
        """The update in it."""
        update: dict[str, Any] = json.loads(self.body)
        return update

    @property
    def chat(self) -> int:
        """The chat of the message in it."""
        return int(self.update["message"]["chat"]["id"])

    @property
    def text(self) -> str:
        """The text of the message in it."""
        return str(self.update["message"]["text"])


async def take(received: Received) -> web.Response:
    """Take an update."""
    return web.Response()


@dataclass
class Receiver:
    """A listening webhook; ``answer`` may be changed at any time.

    Attributes:
        taken: what was answered with 2xx, in order of the answers.
        most_at_once: requests that were open at the same time.
    """

    answer: Answer = take
    port: int = 0
    received: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    at_once_by_chat: dict[int, int] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The texts of all requests, in order."""
        return [received.text for received in self.received]

    @property
    def taken_texts(self) -> list[str]:
        """The texts of what was taken, in order."""
        return [received.text for received in self.taken]

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return the address to give to setWebhook."""
        return f"{scheme}://{host}:{self.port}/hook?a=%2F"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        received = Received(dict(request.headers), await request.read(), tuple(peer[:2]), request.raw_path)
        self.received.append(received)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.answer(received)
            response = answer if isinstance(answer, web.Response) else await answer
        finally:
            self.at_once -= 1
        if 200 <= response.status <= 299:
            self.taken.append(received)
        return response


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver on a free port, with TLS if ``context`` is given."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()


class Gate:
    """Holds answers back until it is opened."""

    def __init__(self) -> None:
        self.waiting: list[Received] = []
        self._open = asyncio.Event()

    async def answer(self, received: Received) -> web.Response:
        """Answer 200 once the gate is open."""
        self.waiting.append(received)
        await self._open.wait()
        return web.Response()

    def open(self) -> None:
        """Let all answers go."""
        self._open.set()
