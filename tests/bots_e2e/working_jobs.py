"""Jobs that do what their payload tells them, and note in a file of the project folder what they did."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from jobs.author import JobContext, PermanentError, exponential, job

SOON = exponential("10ms", cap="20ms")
NOTES = Path(__file__).with_name("notes")
PAUSE_S = 0.01
kept: list[bytearray] = []


class Work(BaseModel):
    """``text`` names the work; it ends once the file ``gate`` exists in the project folder."""

    text: str
    gate: str | None = None


def note(deed: str, work: Work, context: JobContext) -> None:
    with NOTES.open("a") as notes:
        notes.write(f"{deed} {work.text} {context.attempt} {os.getpid()}\n")


def is_open(work: Work) -> bool:
    return work.gate is None or NOTES.with_name(work.gate).exists()


@job("ASYNC", attempts=5, backoff=SOON)
async def work_async(payload: Work, context: JobContext) -> str:
    note("begin", payload, context)
    while not is_open(payload):  # noqa: ASYNC110 - what appears is a file
        await asyncio.sleep(PAUSE_S)
    note("end", payload, context)
    return payload.text


@job("BLOCKING", attempts=5, backoff=SOON)
def work_blocking(payload: Work, context: JobContext) -> str:
    note("begin", payload, context)
    while not is_open(payload):
        time.sleep(PAUSE_S)
    note("end", payload, context)
    return payload.text


@job("PRINT")
async def print_text(payload: Work, context: JobContext) -> None:
    print(payload.text)
    note("end", payload, context)


@job("PRINT_BLOCKING")
def print_text_blocking(payload: Work, context: JobContext) -> None:
    print(payload.text)
    print("complaining", payload.text, file=sys.stderr)
    note("end", payload, context)


@job("SPAWN")
def spawn(payload: Work, context: JobContext) -> None:
    """Leave a child in this session, and a grandchild in one of its own without our environment."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    children = [
        subprocess.Popen(sleeper),
        subprocess.Popen(sleeper, start_new_session=True, env={"PATH": os.environ["PATH"]}),
    ]
    for child in children:
        note(f"child {child.pid}", payload, context)
    note("begin", payload, context)
    while not is_open(payload):
        time.sleep(PAUSE_S)


@job("LEAK", attempts=1)
async def leak(payload: Work, context: JobContext) -> None:
    note("begin", payload, context)
    kept.append(bytearray(b"x" * 150_000_000))
    note("end", payload, context)


@job("REFUSE", attempts=1)
async def refuse(payload: Work, context: JobContext) -> None:
    raise PermanentError("never")
