"""A server that speaks OpenAI's chat completions, as far as a test wants it to."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.unit.jobs.llm.test_answer import CHART, METRIC

GOOD = {"title": "Zebras", "summary": "They earn more.", "widgets": [METRIC, CHART]}


#: What the model says, a status with headers, or bytes that are sent in place of JSON.
Line = str | tuple[int, dict[str, str]] | bytes


class Model:
    """Answers a question by the script of that name, line after line, then with a good dashboard.

    A script's name is the last word of the question.
    """

    def __init__(self, scripts: Mapping[str, Sequence[Line]] | None = None) -> None:
        self._scripts = {name: list(script) for name, script in (scripts or {}).items()}
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""

    def count(self, name: str) -> int:
        """Return how many requests came for one script."""
        return sum(_script_of(request) == name for request in self.requests)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("Authorization"))
        script = self._scripts.get(_script_of(body))
        match script.pop(0) if script else json.dumps(GOOD):
            case bytes(raw):
                return web.Response(body=raw, content_type="application/json")
            case (int(status), headers):  # services like to repeat what they did not like
                echo = {"error": {"message": json.dumps(body)}}
                return web.json_response(echo, status=status, headers=headers)
            case text:
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                return web.json_response(
                    {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
                )


def _script_of(body: dict[str, Any]) -> str:
    question: str = body["messages"][-1]["content"]
    return question.split()[-1]


@asynccontextmanager
async def serving(model: Model, port: int = 0) -> AsyncIterator[Model]:
    """Serve until the block ends."""
    app = web.Application()
    app.router.add_post("/{any:.*}", model.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield model
    finally:
        await runner.cleanup()
