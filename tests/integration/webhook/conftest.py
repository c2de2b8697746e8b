"""The webhook server on the loop that the master uses."""

import contextlib

import pytest
import uvloop

from tests.integration.webhook.stage import FakeDoor, Stage, settings
from webhook.server import WebhookServer
from webhook.settings import Bounds


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def door():
    return FakeDoor()


@pytest.fixture
async def serve(door):
    """Return a function that starts a server: settings by keyword, ``bounds`` and ``token`` beside them."""
    async with contextlib.AsyncExitStack() as closing:

        async def start(bounds: Bounds | None = None, token: str | None = None, **changes: object) -> Stage:
            server = WebhookServer(door, settings(**changes), api_token=token, bounds=bounds)
            closing.push_async_callback(server.aclose)
            await server.start()
            return await closing.enter_async_context(Stage(server))

        yield start


@pytest.fixture
async def stage(serve):
    return await serve()
