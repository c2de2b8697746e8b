"""A worker with the LLM backend's jobs: ``python -m tests.integration.jobs.llm.worker_process STATE_DIR``.

Its terms come as one JSON document on standard input. It writes each call that is taken from the limiter
into the file ``tokens``, starts of jobs as well.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from brama.log import configure_logging
from jobs.engine.bullmq_queue import BullQueue
from jobs.llm.terms import BackendTerms
from jobs.llm.workshop import install
from jobs.producer import Producer
from jobs.registry import load_types
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetters
from jobs.worker import Worker

MODULES = ["jobs.llm.tasks"]


class CountingLimiter:
    """Lets everything through and writes down whose call it was."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def take(self, key: str, *, ahead: bool = False) -> float:
        with self._path.open("a") as tokens:
            tokens.write(f"{key}\n")
        return 0.0


class LlmWorker(Worker):
    """Installs the terms before any job is run."""

    def __init__(self, terms: BackendTerms, state_dir: Path) -> None:
        super().__init__(load_types(MODULES), MODULES, os.environ["REDIS_URL"], state_dir, 20)
        self._terms = terms
        self._folder = state_dir

    async def _serve(self, queue: BullQueue, letters: DeadLetters, producer: Producer) -> None:
        database = Database(self._folder)
        limiter = CountingLimiter(self._folder / "tokens")
        assert self._runner is not None
        self._runner._limiter = lambda job_type: limiter
        install(self._terms, database=database, producer=producer, limiter=limiter)
        try:
            await super()._serve(queue, letters, producer)
        finally:
            database.close()


async def main() -> None:
    terms = BackendTerms.model_validate_json(sys.stdin.read())
    worker = LlmWorker(terms, Path(sys.argv[1]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()


if __name__ == "__main__":
    sink = configure_logging(None, console=True, level="debug")
    asyncio.run(main())
    sink.close()
