"""What docs/platform.md shows works: the answer is accepted, the server serves it."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from brama.config.models import BotSection, BotsSourceSection
from brama.config.platform_bots import with_platform_bots
from brama.config.platform_models import PlatformBot
from supervisor.platform.client import Fetched, PlatformClient, Unchanged
from tests.integration.platform.stage import LIMITS
from tests.ports import free_port
from tests.unit.config.project import Project, made_up_token
from tests.waiting import await_until

PAGE = (Path(__file__).parents[3] / "docs" / "platform.md").read_text()


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


@pytest.fixture
def answer() -> dict[str, object]:
    """The answer that the page shows, with tokens in place of the shortened ones."""
    text = block("json")
    for number, shown in enumerate(re.findall(r"[0-9]+:AA[A-Z]\.\.\.", text)):
        text = text.replace(shown, made_up_token(number))
    content: dict[str, object] = json.loads(text)
    return content


def test_the_answer_is_accepted(tmp_path: Path, answer: dict[str, object]):
    project = Project(tmp_path)
    project.write("bots/support.py", "")
    section = block("yaml")
    assert set(yaml.safe_load(section)["bots_source"]) == set(BotsSourceSection.model_fields)
    settings = project.load(section + "bots: []", {"PLATFORM_TOKEN": "0123456789"})
    together, warnings = with_platform_bots(settings, answer, {})
    assert [bot.id for bot in together.bots] == ["shop", "customer-42"]
    assert warnings == []


def test_the_page_names_every_key():
    assert set(PlatformBot.model_fields) == set(BotSection.model_fields)
    assert [key for key in BotSection.model_fields if f"`{key}`" not in PAGE] == []


@pytest_asyncio.fixture
async def port(tmp_path: Path, answer: dict[str, object]) -> AsyncIterator[int]:
    """Where the page's server listens."""
    (tmp_path / "platform.py").write_text(block("python"))
    (tmp_path / "bots.json").write_text(json.dumps(answer))
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "platform.py", str(port), cwd=tmp_path, stderr=asyncio.subprocess.DEVNULL
    )
    yield port
    server.kill()
    await server.wait()


async def test_the_server_serves_it(port: int, answer: dict[str, object]):
    async def connect() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    await await_until(connect)
    client = PlatformClient(f"http://127.0.0.1:{port}/bots", "a-key-of-the-platform", LIMITS)
    fetched = await client.ask(None)
    assert isinstance(fetched, Fetched)
    assert json.loads(fetched.body) == answer
    assert await client.ask(fetched.etag) == Unchanged()
    await client.aclose()
