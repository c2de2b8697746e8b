"""The jobs that the bot ``asking`` asks for. They note what they do in the working directory."""

import asyncio
from pathlib import Path

from pydantic import BaseModel

from jobs.author import JobContext, PermanentError, job

_LOOK_S = 0.02


class Text(BaseModel):
    text: str


@job("SHOUT", timeout="1m", attempts=3)
async def shout(payload: Text, context: JobContext) -> Text:
    note("SHOUT", payload)
    return Text(text=payload.text.upper())


@job("WAIT", timeout="1m", attempts=3)
async def wait(payload: Text, context: JobContext) -> Text:
    """Wait until the file "go" is there."""
    note("WAIT", payload)
    while not Path("go").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(_LOOK_S)
    return payload


@job("WHISPER", timeout="1m", limited_by=lambda payload: "all")
async def whisper(payload: Text, context: JobContext) -> Text:
    note("WHISPER", payload)
    return Text(text=payload.text.lower())


@job("REFUSE", timeout="1m", attempts=3)
async def refuse(payload: Text, context: JobContext) -> Text:
    raise PermanentError("no, never")


def note(name: str, payload: Text) -> None:
    with Path("notes").open("a") as notes:
        notes.write(f"{name} {payload.text}\n")
