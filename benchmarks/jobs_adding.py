"""A process that adds jobs: ``python -m benchmarks.jobs_adding SOCKET STATE_DIR COUNT AT_ONCE TEXT``.

It says "ready" when it is connected, begins when a line comes on standard input, says "done" and waits.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

from benchmarks.jobs_handlers import Parcel, parcel
from jobs.engine.bullmq_queue import BullQueue
from jobs.producer import Producer
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetters
from jobs.storage.outbox import Outbox


async def _add(socket: str, state_dir: Path, count: int, at_once: int, text: str) -> None:
    database, queue = Database(state_dir), BullQueue(f"unix://{socket}")
    producer = Producer(queue, Outbox(database), DeadLetters(database))
    await queue.counts(parcel.queue)
    print("ready", flush=True)
    sys.stdin.readline()
    numbers = iter(range(count))

    async def add_some() -> None:
        for number in numbers:
            await producer.enqueue(parcel, Parcel(number=number, text=text))

    await asyncio.gather(*(add_some() for _ in range(at_once)))
    print("done", flush=True)
    await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    """Run as ``python -m benchmarks.jobs_adding``."""
    socket, state_dir, count, at_once, text = arguments
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_add(socket, Path(state_dir), int(count), int(at_once), text))


if __name__ == "__main__":
    main(sys.argv[1:])
