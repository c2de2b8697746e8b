"""Jobs for tests. Each writes what it does into a file, so that tests see it from another process."""

import asyncio
import os
import resource
import signal
from pathlib import Path
from threading import Event

from pydantic import BaseModel

from jobs.author import JobContext, PermanentError, RetryableError, exponential, job
from tests.waiting import await_until, wait_until

SOON = exponential("10ms", cap="20ms")


class Work(BaseModel):
    """What a test wants done.

    Args:
        journal: the file to write to.
        text: what to write, or what to do.
        gate: a file that a waiting handler waits for.
    """

    journal: Path
    text: str = ""
    gate: Path | None = None


class Done(BaseModel):
    said: str


def note(payload: Work, line: str) -> None:
    with payload.journal.open("a") as journal:
        journal.write(line + "\n")


async def gate(payload: Work) -> None:
    if payload.gate is not None:
        await await_until(payload.gate.exists, timeout_s=600)


@job("SAY", backoff=SOON)
async def say(payload: Work, context: JobContext) -> Done:
    context.progress(50)
    context.log(f"saying {payload.text}")
    note(payload, f"{context.attempt} {payload.text} {os.getpid()}")
    await gate(payload)
    note(payload, f"end {payload.text}")
    return Done(said=payload.text)


@job("SAY_BLOCKING", backoff=SOON)
def say_blocking(payload: Work, context: JobContext) -> Done:
    context.progress(50)
    context.log(f"saying {payload.text}")
    note(payload, f"{context.attempt} {payload.text} {os.getpid()}")
    if payload.gate is not None:
        wait_until(payload.gate.exists, timeout_s=600)
    note(payload, f"end {payload.text}")
    return Done(said=payload.text)


@job("FAIL", attempts=3, backoff=SOON)
async def fail(payload: Work, context: JobContext) -> Done:
    note(payload, f"{context.attempt} {payload.text}")
    match payload.text:
        case "permanent":
            raise PermanentError("never")
        case "later":
            raise RetryableError("busy", retry_after_s=0.5)
        case "cancelled":
            raise asyncio.CancelledError
        case "exit":
            raise SystemExit(3)
        case "once" if context.attempt > 1:
            return Done(said="at last")
        case "until" if payload.gate is not None and payload.gate.exists():
            return Done(said="now")
        case "half":
            raise PermanentError("no file \udcff")
        case "result":
            return {"not": "it"}  # type: ignore[return-value]
    raise ValueError("no good")


@job("FAIL_BLOCKING", attempts=2, backoff=SOON)
def fail_blocking(payload: Work, context: JobContext) -> object:
    note(payload, f"{context.attempt} {payload.text}")
    match payload.text:
        case "permanent":
            raise PermanentError("never")
        case "exit":
            raise SystemExit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "object":
            return object()
    raise ValueError("no good")


async def _obstinate() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@job("OVERTIME", timeout="200ms", attempts=1)
async def overtime(payload: Work, context: JobContext) -> None:
    note(payload, f"{context.attempt} {payload.text} {os.getpid()}")
    await (_obstinate() if payload.text == "obstinate" else asyncio.Event().wait())


@job("OBSTINATE")
async def obstinate(payload: Work, context: JobContext) -> None:
    note(payload, f"{context.attempt} {payload.text}")
    if payload.gate is not None and not payload.gate.exists():
        await _obstinate()


@job("OVERTIME_BLOCKING", timeout="1s", attempts=1)
def overtime_blocking(payload: Work, context: JobContext) -> None:
    note(payload, f"{context.attempt} {payload.text} {os.getpid()}")
    Event().wait()


@job("POISON", attempts=1)
async def poison(payload: Work, context: JobContext) -> None:
    note(payload, f"{context.attempt} {payload.text}")
    match payload.text:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.abort()


@job("BLOCK_LOOP", attempts=1)
async def block_loop(payload: Work, context: JobContext) -> None:
    note(payload, f"{context.attempt} {payload.text} {os.getpid()}")
    Event().wait()  # the mistake that is tested for
