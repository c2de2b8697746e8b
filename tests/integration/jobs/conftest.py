"""A real queue server for each test, and what a test does with it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.programs import find_program
from jobs.engine.server import QueueServer
from tests.integration.jobs.processes import House, house


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[QueueServer]:
    server = QueueServer(find_program(), tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def queue(server: QueueServer) -> AsyncIterator[BullQueue]:
    queue = BullQueue(server.url)
    yield queue
    await queue.close()


@pytest.fixture
async def at(server: QueueServer, tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, server) as opened:
        yield opened
