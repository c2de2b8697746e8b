"""A platform for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.platform.stage import Platform


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[Platform]:
    """A platform that answers, without a bot."""
    platform = Platform()
    await platform.open()
    yield platform
    await platform.close()
