"""The oracle's slow work: a job of the demo.

Runs in: job worker.
"""

import asyncio

from pydantic import BaseModel

from jobs.author import JobContext, job

#: How long it thinks, in seconds.
_THINKS_S = 2.0


class Question(BaseModel):
    """What somebody asked."""

    question: str


class Answer(BaseModel):
    """What the oracle says."""

    text: str


@job("ANSWER_SLOWLY", timeout="30s", attempts=3)
async def answer_slowly(payload: Question, context: JobContext) -> Answer:
    """Count the words of the question, slowly."""
    words = len(payload.question.split())
    for word in range(words):
        await asyncio.sleep(_THINKS_S / words)
        context.progress(round(100 * (word + 1) / words))
    return Answer(text=f"I thought about your {words} words for {_THINKS_S:g} s. The answer is yes.")
