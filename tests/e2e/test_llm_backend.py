"""``jobs serve``: the LLM backend as the installed command runs it, with a stream of questions."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from brama.exit_codes import ExitCode
from tests.fixtures.fleet import COMMAND
from tests.ports import free_port
from tests.waiting import await_until

KEY = "a-key-of-the-backend-that-asks"
QUESTION = "How did the zebra revenue develop in 2031?"
ROOT = Path(__file__).parents[2]


class Service:
    """A project folder with ``jobs serve`` running on it, and the backend that it calls back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.callback_port = free_port(), free_port()
        self.environ = {
            **os.environ,
            "ALLOWED_API_KEY": KEY,
            "BACKEND_URL": f"http://127.0.0.1:{self.callback_port}",
            "MOCK_PROCESSING_TIME": "100",
        }
        many = 100_000
        jobs = {
            "concurrency": 8,
            "limits": {"per_minute": many, "per_hour": many},
            "backend": {"port": self.port, "requests_per_minute": many},
        }
        document = {"api": {"port": 0}, "jobs": jobs}
        (folder / "brama.yaml").write_text(yaml.safe_dump(document))

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Type a command to its end; returns its exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            cwd=self.folder,
            env=self.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def jobs(self) -> dict[str, Any]:
        """Return what the status says of jobs."""
        _, said = await self.command("status", "--json")
        document: dict[str, Any] = json.loads(said)
        found: dict[str, Any] = document["jobs"]
        return found

    async def ask(self, session: aiohttp.ClientSession, task_id: str) -> int:
        """Post a question; returns the answer's status."""
        body = {
            "taskId": task_id,
            "question": QUESTION,
            "callbackUrl": f"http://127.0.0.1:{self.callback_port}/api/callbacks/{task_id}",
        }
        url, headers = f"http://127.0.0.1:{self.port}/api/process", {"X-API-Key": KEY}
        async with session.post(url, json=body, headers=headers) as answer:
            return answer.status

    def told(self) -> list[tuple[str, str]]:
        """Return the tasks that the backend was told of, with how they ended."""
        journal = self.folder / "journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        bodies = [json.loads(json.loads(line)["body"]) for line in lines]
        return [(body["taskId"], body["status"]) for body in bodies]

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[None]:
        """Be called back until the block ends."""
        receiver = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.jobs.llm.receiver",
            str(self.callback_port),
            str(self.folder / "journal"),
            cwd=ROOT,
        )
        try:
            yield
        finally:
            receiver.terminate()
            await receiver.wait()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Service]:
    """Run the service as a daemon until the block ends."""
    service = Service(folder)
    code, said = await service.command("jobs", "serve", "--daemon")
    assert code == ExitCode.OK, said
    try:
        yield service
    finally:
        await service.command("stop")


def logs(folder: Path) -> str:
    """Return all that was logged."""
    return "".join(path.read_text() for path in (folder / "logs").iterdir())


async def test_questions_are_answered_over_a_hot_restart_and_none_is_refused(tmp_path: Path):
    asked: list[str] = []
    over = asyncio.Event()

    async def ask_on(service: Service, session: aiohttp.ClientSession, who: int) -> None:
        while not over.is_set():
            task_id = f"task-{who}-{len(asked)}"
            assert await service.ask(session, task_id) == 202
            asked.append(task_id)

    async with serving(tmp_path) as service, service.backend():
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            asking = [asyncio.create_task(ask_on(service, session, who)) for who in range(2)]
            await await_until(lambda: len(asked) >= 20)
            before = await service.jobs()
            code, said = await service.command("restart")
            assert code == ExitCode.OK, said
            count = len(asked)
            await await_until(lambda: len(asked) >= count + 20)
            over.set()
            await asyncio.gather(*asking)
        await await_until(lambda: len(service.told()) >= len(asked), 100.0, "all callbacks")
        after = await service.jobs()
        assert sorted(service.told()) == sorted((task_id, "completed") for task_id in asked)
        assert after["server_pid"] == before["server_pid"]
        assert (after["dead_letters"], after["outbox"]) == (0, 0)
        assert (await service.command("jobs", "list"))[1].startswith("no dead letters")
    assert "zebra" not in logs(tmp_path)
    assert KEY not in logs(tmp_path)


async def test_a_killed_supervisor_owes_no_answer(tmp_path: Path):
    async with serving(tmp_path) as service:
        async with aiohttp.ClientSession() as session:
            for number in range(20):
                assert await service.ask(session, f"task-{number}") == 202
        _, said = await service.command("status", "--json")
        master = json.loads(said)["master"]["pid"]
        os.kill(master, signal.SIGKILL)
        await await_until(lambda: not Path(f"/proc/{master}").exists(), what="the end of the master")
        code, said = await service.command("jobs", "serve", "--daemon")
        assert code == ExitCode.OK, said
        async with service.backend():
            await await_until(lambda: len(set(service.told())) >= 20, 100.0, "all callbacks")
        assert {status for _, status in service.told()} == {"completed"}


async def test_an_address_that_is_taken_and_a_host_that_is_none_are_said_at_the_start(tmp_path: Path):
    service = Service(tmp_path)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", service.port)
    async with server:
        code, said = await service.command("jobs", "serve", "--daemon")
    assert code == ExitCode.FAILED
    assert f"jobs.backend.port: 127.0.0.1:{service.port} is taken by another process" in said
    service.environ |= {"BACKEND_URL": "http://user@[::1", "BRAMA_JOBS__ENABLED": "true"}
    code, said = await service.command("check")
    assert code == ExitCode.CONFIG
    assert "BACKEND_URL" in said
