"""Producers and consumers for tests of the engine."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psutil
from redis.asyncio import Redis

from brama.clock import utc_s
from jobs.engine.bullmq_worker import BullConsumer
from jobs.engine.port import Completed, NewJob, Outcome, TakenJob
from jobs.engine.server import QueueServer
from jobs.engine.slots import Slots
from tests.waiting import loop_turn

QUEUE = "reports"


def new_job(job_id: str, data: Any = None, **more: Any) -> NewJob:
    """Return a job of the queue "reports"."""
    return NewJob(QUEUE, job_id, "REPORT", data, round(utc_s() * 1000), **more)


class Processing:
    """A process that does nothing and remembers what it was handed."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.taken: list[TakenJob] = []
        self.most_at_once = 0
        self._now = 0

    async def __call__(self, job: TakenJob) -> Outcome:
        self.taken.append(job)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await loop_turn()
        self._now -= 1
        return self._outcomes.pop(0) if self._outcomes else Completed(job.data)


@asynccontextmanager
async def consuming(
    url: str, process: Any, *, slots: int | Slots = 1, **more: Any
) -> AsyncIterator[BullConsumer]:
    """Have a worker take the queue's jobs until the block ends."""
    options = {"queue": QUEUE, "max_stalls": 1, **more}
    consumer = BullConsumer(
        process=process, url=url, slots=slots if isinstance(slots, Slots) else Slots(slots), **options
    )
    running = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        if running.done() and not consumer.closing:
            running.result()
            raise AssertionError("the worker's loop has ended")
        await consumer.close()
        await running


@asynccontextmanager
async def redis(url: str) -> AsyncIterator[Redis]:
    """Talk to the server past everything of ours."""
    client = Redis.from_url(url, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


@contextmanager
def stopped(server: QueueServer) -> Iterator[None]:
    """Have a server that accepts connections and says nothing."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def alive(pid: int) -> bool:
    """Return whether the process runs; one that is merely not reaped yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
