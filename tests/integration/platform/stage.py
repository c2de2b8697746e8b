"""A platform on a real port whose answers a test decides, and a source that asks it when the test says so."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from pydantic import SecretStr

from brama.config.models import BotsSourceSection
from supervisor.platform.answer import Answer
from supervisor.platform.client import AskingLimits
from supervisor.platform.source import BotsSource
from tests.ports import free_port
from tests.waiting import await_until

#: Small enough for a test, large enough for a busy machine.
LIMITS = AskingLimits(deadline_s=1.0, max_body_bytes=100_000)
#: Neither may be seen in a log or a status.
KEY, BEARER = "key-in-the-address", "key-of-the-platform"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def body_of(*bots: Any) -> bytes:
    return json.dumps({"bots": list(bots)}).encode()


class Platform:
    """Answers ``GET /bots``; what was asked is in ``asked``, as headers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.body, self.etag = body_of(), '"0"'
        self.handler: Handler | None = None
        self.asked: list[dict[str, str]] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/bots?key={KEY}"

    def list(self, *bots: Any, etag: str | None = None) -> None:
        """Answer these bots from now on."""
        self.body = body_of(*bots)
        self.etag = etag or f'"{int(self.etag[1:-1]) + 1}"'

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/bots", self._answer)
        app.router.add_get("/elsewhere", self._elsewhere)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.headers))
        if self.handler is not None:
            return await self.handler(request)
        if request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        return web.Response(body=self.body, headers={"ETag": self.etag}, content_type="application/json")

    async def _elsewhere(self, _request: web.Request) -> web.StreamResponse:
        self.asked.append({"elsewhere": ""})
        return web.Response(body=self.body)


@dataclass
class Judge:
    """Takes answers as the fleet does, unless ``reason`` says why not."""

    reason: str | None = None
    seen: list[Answer] = field(default_factory=list)

    async def __call__(self, answer: Answer) -> str | None:
        self.seen.append(answer)
        return self.reason


class Stage:
    """A source of ``platform``; its wall clock stands at ``now``, and its waits end when the test says so."""

    def __init__(self, platform: Platform, cache: Path, **settings: Any) -> None:
        self.platform = platform
        self.judge = Judge()
        self.now = 1_800_000_000.0
        self.waits: list[float] = []
        self._wakes: asyncio.Queue[None] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        section = BotsSourceSection(
            **{"url": platform.url, "token": SecretStr(BEARER), "interval": 60.0} | settings
        )
        self.source = BotsSource(
            section, cache, utc=lambda: self.now, jitter=lambda: 0.5, sleep=self._sleep, limits=LIMITS
        )

    async def first(self) -> Answer | None:
        return await self.source.first(5.0, self.judge)

    async def ask(self) -> None:
        """Have the source ask once more; return when it waits again."""
        before = len(self.waits)
        if self._running is None:
            self._running = asyncio.ensure_future(self.source.run(self.judge))
            await await_until(lambda: len(self.waits) > before)
            before = len(self.waits)
        self._wakes.put_nowait(None)
        await await_until(lambda: len(self.waits) > before)

    async def _sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        await self._wakes.get()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        await self.source.aclose()
