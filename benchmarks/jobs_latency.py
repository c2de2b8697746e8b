"""How long ``enqueue`` takes at a steady rate: with a server, and without one."""

import asyncio
import statistics
import tempfile
from pathlib import Path

import uvloop

from benchmarks.jobs_handlers import Parcel, parcel
from benchmarks.report import say, table
from brama.clock import monotonic_s
from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.programs import find_program
from jobs.engine.server import QueueServer
from jobs.producer import Producer
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox

RATE = 200
JOBS = 2000
TEXT_BYTES = 200


def measure() -> None:
    """Measure both ways and print the table."""
    rows = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for title, server_is_there in (("into the server", True), ("into the outbox, no server", False)):
            say(f"measuring enqueue {title} ...")
            with tempfile.TemporaryDirectory(prefix="bench-jobs-") as name:
                took_ms = runner.run(_measure(Path(name), server_is_there))
            cuts = statistics.quantiles(took_ms, n=100)
            rows.append([title, f"{cuts[49]:.2f} ms", f"{cuts[98]:.2f} ms", f"{max(took_ms):.1f} ms"])
    say("\n" + table([f"{JOBS} jobs, {RATE} a second", "enqueue p50", "p99", "longest"], rows) + "\n")


async def _measure(state_dir: Path, server_is_there: bool) -> list[float]:
    server = QueueServer(find_program(), state_dir)
    if server_is_there:
        await server.start()
    database, queue = Database(state_dir), BullQueue(server.url)
    producer = Producer(queue, Outbox(database), DeadLetters(database))
    flushing = asyncio.create_task(producer.run())
    try:
        return await _enqueue_steadily(producer)
    finally:
        flushing.cancel()
        await asyncio.wait({flushing})
        await queue.close()
        database.close()
        await server.stop()


async def _enqueue_steadily(producer: Producer) -> list[float]:
    """Return how long each call took, in milliseconds."""
    took_ms: list[float] = []

    async def enqueue(number: int) -> None:
        began_at = monotonic_s()
        await producer.enqueue(parcel, Parcel(number=number, text="x" * TEXT_BYTES))
        took_ms.append((monotonic_s() - began_at) * 1000)

    began_at = monotonic_s()
    async with asyncio.TaskGroup() as tasks:
        for number in range(JOBS):
            await asyncio.sleep(began_at + number / RATE - monotonic_s())
            tasks.create_task(enqueue(number))
    return took_ms
