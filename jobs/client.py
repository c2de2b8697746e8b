"""Lets a program that is neither a bot nor a worker hand jobs over.

Runs in: wherever jobs are enqueued.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from brama.errors import StateError
from jobs.producer import Producer

#: How long the end waits for what the outbox still holds; the rest stays in it, for the next one.
_FLUSH_S = 2.0


@asynccontextmanager
async def producing(state_dir: Path, url: str | None = None) -> AsyncIterator[Producer]:
    """Yield a producer whose outbox is emptied until the block ends.

    Args:
        state_dir: where the outbox is kept while the server is away; made if there is none.
        url: the server; None: that of REDIS_URL or REDIS_HOST, else the one that a supervisor runs in
            ``state_dir``.

    Raises:
        ConfigError: the environment names no server that can be.
        StateError: ``state_dir`` is of no use.
    """
    # What a bot, which imports the same names, never loads.
    from jobs.engine.bullmq_queue import BullQueue
    from jobs.engine.server import locate_server
    from jobs.storage.database import Database
    from jobs.storage.dead_letters import DeadLetters
    from jobs.storage.outbox import Outbox

    queue = BullQueue(url or locate_server(state_dir, os.environ))
    database = Database(state_dir)
    try:
        producer = Producer(queue, Outbox(database), DeadLetters(database))
        emptying = asyncio.create_task(producer.run())
        try:
            yield producer
        finally:
            emptying.cancel()
            await asyncio.wait([emptying])
            with suppress(StateError, TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await producer.flush()
    finally:
        database.close()
        await queue.close()
