"""Real worker processes, and producers in the test's own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.server import QueueServer
from jobs.producer import Producer
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetter, DeadLetters
from jobs.storage.outbox import Outbox
from tests.waiting import await_until

ROOT = Path(__file__).parents[3]
HANDLERS = "tests.integration.jobs.handlers"
STATES = ("waiting", "prioritized", "delayed", "active", "completed", "failed")


@dataclass(frozen=True, slots=True)
class House:
    """A state directory with its server, seen from a producer's process."""

    state_dir: Path
    server: QueueServer
    queue: BullQueue
    letters: DeadLetters
    outbox: Outbox
    producer: Producer

    @property
    def journal(self) -> Path:
        return self.state_dir / "journal"

    def lines(self) -> list[str]:
        """Return what handlers wrote."""
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    async def state(self, queue: str, job_id: str) -> str | None:
        job = await self.queue.find(queue, job_id)
        return None if job is None else job.state

    async def wait_state(self, queue: str, job_id: str, state: str, timeout_s: float = 30.0) -> None:
        async def reached() -> bool:
            return await self.state(queue, job_id) == state

        await await_until(reached, timeout_s, f"{queue} {job_id} to be {state}")

    async def only_letter(self) -> DeadLetter:
        (letter,) = await self.letters.latest()
        return letter


@asynccontextmanager
async def house(state_dir: Path, server: QueueServer) -> AsyncIterator[House]:
    """Open a state directory beside a server."""
    database, queue = Database(state_dir), BullQueue(server.url)
    letters, outbox = DeadLetters(database), Outbox(database)
    try:
        yield House(state_dir, server, queue, letters, outbox, Producer(queue, outbox, letters))
    finally:
        await queue.close()
        database.close()


@asynccontextmanager
async def worker(
    at: House, *, slots: int = 2, module: str = HANDLERS
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker process until the block ends; then it is killed if it has not ended."""
    with (at.state_dir / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jobs.worker", "--state-dir", at.state_dir, "--slots", str(slots), module,
            cwd=ROOT, stdout=log, stderr=log, env=os.environ | {"REDIS_URL": at.server.url},
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
