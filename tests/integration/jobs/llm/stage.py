"""The LLM backend in the test's process, with real workers and real backends beside it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from jobs.llm.server import BackendServer
from jobs.llm.terms import BackendTerms
from jobs.storage.database import Database
from tests.integration.jobs.processes import ROOT, House
from tests.waiting import await_until

KEY = "a-key-of-the-backend-that-asks"
OTHER_KEY = "another-key-while-keys-are-changed"
SECRET = "the-secret-of-signatures"
QUESTION = "How did the zebra revenue develop in 2031?"


@dataclass(frozen=True, slots=True)
class Backend:
    """The service, as its callers see it."""

    url: str
    session: aiohttp.ClientSession

    async def ask(self, task_id: str, key: str | None = KEY, **more: Any) -> tuple[int, dict[str, Any]]:
        """Post a question; ``more`` replaces fields of the body."""
        return await self.post({"taskId": task_id, "question": QUESTION} | more, key)

    async def post(self, body: Any, key: str | None = KEY) -> tuple[int, dict[str, Any]]:
        headers = {} if key is None else {"X-API-Key": key}
        async with self.session.post(f"{self.url}/api/process", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def status(self, task_id: str, key: str = KEY) -> tuple[int, dict[str, Any]]:
        """Ask how a task stands."""
        path = f"{self.url}/api/process/{task_id}"
        async with self.session.get(path, headers={"X-API-Key": key}) as answer:
            return answer.status, await answer.json()

    async def health(self) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/health") as answer:
            assert answer.status == 200
            found: dict[str, Any] = await answer.json()
            return found

    async def wait_end(self, task_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Return a task once it has ended."""

        async def ended() -> dict[str, Any] | None:
            _, found = await self.status(task_id)
            return found if found["status"] in ("completed", "failed") else None

        found: dict[str, Any] | None = await await_until(ended, timeout_s, f"{task_id} to end")
        assert found is not None
        return found


def terms(**more: Any) -> BackendTerms:
    """Return terms for tests: a quick mock, any free port."""
    usual = {
        "port": 0,
        "api_keys": (KEY, OTHER_KEY),
        "callback_secret": SECRET,
        "mock_processing_s": 0.0,
        "environment": "test",
        "requests_per_minute": 1_000_000,
    }
    return BackendTerms(**usual | more)


@asynccontextmanager
async def backend(at: House, its: BackendTerms, **more: Any) -> AsyncIterator[Backend]:
    """Serve until the block ends."""
    database = Database(at.state_dir)
    server = BackendServer(its, at.producer, at.queue, database, **more)
    await server.start()
    flushing = asyncio.create_task(at.producer.run())
    try:
        async with aiohttp.ClientSession() as session:
            yield Backend(f"http://127.0.0.1:{server.address[1]}", session)
    finally:
        flushing.cancel()
        await server.aclose()
        database.close()


@asynccontextmanager
async def llm_worker(
    at: House, its: BackendTerms, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker process under these terms until the block ends."""
    with (at.state_dir / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.jobs.llm.worker_process", at.state_dir,
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log,
            env=os.environ | {"REDIS_URL": at.server.url} | environment,
        )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(its.model_dump_json().encode())
    process.stdin.close()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Receiver:
    """A backend that is called back, as a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._journal = folder / f"receiver-{port}"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/callbacks/1?a=%20b"

    def received(self) -> list[dict[str, Any]]:
        """Return the requests that came, oldest first."""
        if not self._journal.exists():
            return []
        return [json.loads(line) for line in self._journal.read_text().splitlines()]

    def told(self) -> list[dict[str, Any]]:
        """Return the bodies of what came."""
        return [json.loads(request["body"]) for request in self.received()]

    async def start(self, *answers: int) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.jobs.llm.receiver",
            str(self.port), self._journal, *map(str, answers), cwd=ROOT,
        )  # fmt: skip

        async def listens() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return False
            writer.close()
            return True

        await await_until(listens)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def receiver(at: House, port: int, *answers: int) -> AsyncIterator[Receiver]:
    """Have a backend answer with ``answers`` in turn until the block ends."""
    one = Receiver(at.state_dir, port)
    await one.start(*answers)
    try:
        yield one
    finally:
        await one.kill()
