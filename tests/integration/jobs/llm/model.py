"""A server that speaks OpenAI's chat completions, as far as a test wants it to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.unit.jobs.llm.test_answer import CHART, METRIC

GOOD = {"title": "Zebras", "summary": "They earn more.", "widgets": [METRIC, CHART]}


class Model:
    """Answers requests with ``script`` in turn, and with a good dashboard once that is used up.

    An item is what the model says, a status with headers, or bytes that are sent in place of JSON.
    """

    def __init__(self, *script: str | tuple[int, dict[str, str]] | bytes) -> None:
        self._script = list(script)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("Authorization"))
        match self._script.pop(0) if self._script else json.dumps(GOOD):
            case bytes(raw):
                return web.Response(body=raw, content_type="application/json")
            case (int(status), headers):  # services like to repeat what they did not like
                return web.json_response(
                    {"error": {"message": json.dumps(body)}}, status=status, headers=headers
                )
            case text:
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                return web.json_response(
                    {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
                )


@asynccontextmanager
async def serving(model: Model) -> AsyncIterator[Model]:
    """Serve until the block ends."""
    app = web.Application()
    app.router.add_post("/{any:.*}", model.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield model
    finally:
        await runner.cleanup()
