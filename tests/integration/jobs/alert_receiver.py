"""A receiver of alerts on a port of its own, which answers as it is told and keeps what it was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class Receiver:
    """What came, and how it is answered.

    Args:
        statuses: of the first answers; 200 afterwards.
    """

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.posts: list[tuple[str | None, dict[str, Any]]] = []
        self.arrived = 0
        #: While it is not set, nobody gets an answer.
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def letter_ids(self) -> list[int]:
        """Those told of, in order, as often as they were."""
        return [letter["letter_id"] for _, body in self.posts for letter in body["letters"]]

    async def answer(self, request: web.Request) -> web.Response:
        self.arrived += 1
        body = await request.json()
        await self.gate.wait()
        status = self._statuses.pop(0) if self._statuses else 200
        if status < 300:
            self.posts.append((request.headers.get("Authorization"), body))
        return web.Response(
            status=status, headers={"Location": "/elsewhere"} if 300 <= status < 400 else None
        )


async def _elsewhere(_request: web.Request) -> web.Response:
    return web.Response()


@asynccontextmanager
async def receiving(receiver: Receiver, port: int) -> AsyncIterator[str]:
    """Listen until the block ends; give the address."""
    app = web.Application()
    app.router.add_post("/alert", receiver.answer)
    app.router.add_route("*", "/elsewhere", _elsewhere)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/alert"
    finally:
        await runner.cleanup()
