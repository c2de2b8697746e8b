"""What the runner answers the engine when dead letters cannot be written, or while it drains."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from brama.errors import StateError
from jobs.author import JobContext, PermanentError, job
from jobs.engine.port import Completed, Failed, HandedBack, Retried
from jobs.execution.children import Children
from jobs.execution.runner import Runner
from jobs.policy.backoff import exponential
from jobs.registry import Registry
from jobs.storage.dead_letters import DeadLetter


class Page(BaseModel):
    text: str


@job("READ", attempts=3, backoff=exponential("4s", cap="10s"))
async def read(payload: Page, context: JobContext) -> str:
    match payload.text:
        case "fail":
            raise ValueError("no")
        case "never":
            raise PermanentError("never")
        case "wait":
            await asyncio.Event().wait()
    return payload.text


@dataclass
class Taken:
    """A job in a worker's hands."""

    data: Any
    name: str = "READ"
    queue: str = "READ"
    job_id: str = "a"
    attempt: int = 1
    stalls: int = 0
    given_up: str | None = None
    created_utc_ms: int = 1500
    origin: Any = None
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    async def report_progress(self, value: Any) -> None: ...
    async def log(self, line: str) -> None: ...


class Letters:
    """Dead letters in memory, or on a disk that is full."""

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self.letters: list[DeadLetter] = []
        self.resolved: list[str] = []

    def _check(self) -> None:
        if self.full:
            raise StateError("the disk is full")

    async def record(self, letter: DeadLetter) -> None:
        self._check()
        self.letters.append(letter)

    async def resolve_job(self, queue: str, job_id: str, note: str) -> bool:
        self._check()
        self.resolved.append(job_id)
        return True

    async def open_letter(self, queue: str, job_id: str, attempt: int) -> DeadLetter | None:
        found = [each for each in self.letters if (each.job_id, each.attempt) == (job_id, attempt)]
        return found[0] if found else None


class Told:
    """In place of Results: nobody waits for these jobs."""

    async def send(self, job: Any, **ending: Any) -> None: ...


def runner(letters: Letters) -> Runner:
    return Runner(Registry([read]), Children([]), letters, Told(), pytest.fail, jitter=lambda: 0.0)  # type: ignore[arg-type]


async def test_failures_are_tried_again_until_the_last_is_buried():
    letters = Letters()
    work = runner(letters)
    first, second, third = [
        await work.process(Taken({"text": "fail"}, attempt=number)) for number in (1, 2, 3)
    ]
    assert isinstance(first, Retried)
    assert isinstance(second, Retried)
    assert (first.wait_s, second.wait_s) == (2.0, 4.0)
    assert isinstance(third, Failed)
    (letter,) = letters.letters
    assert (letter.attempt, letter.error, letter.created_utc) == (3, "ValueError: no", 1.5)


async def test_a_job_whose_letter_cannot_be_written_is_not_failed():
    work = runner(Letters(full=True))
    assert await work.process(Taken({"text": "never"})) == HandedBack(30.0)
    assert await work.process(Taken({"text": "never"}, given_up="stalled")) == HandedBack(30.0)
    assert await work.process(Taken({}, name="UNKNOWN")) == HandedBack(30.0)


async def test_a_job_that_is_done_is_not_run_again_for_a_letter_that_cannot_be_closed():
    assert await runner(Letters(full=True)).process(Taken({"text": "ok"}, attempt=2)) == Completed("ok")
    letters = Letters()
    assert await runner(letters).process(Taken({"text": "ok"}, attempt=2)) == Completed("ok")
    assert letters.resolved == ["a"]


async def test_a_job_that_was_buried_before_its_worker_died_is_not_run_again():
    letters = Letters()
    work = runner(letters)
    assert isinstance(await work.process(Taken({"text": "never"})), Failed)
    again = await work.process(Taken({"text": "ok"}, stalls=1))
    assert again == Failed(letters.letters[0].error, letters.letters[0].stack)


async def test_a_lost_job_is_ended_and_handed_back():
    taken = Taken({"text": "wait"})
    processing = asyncio.create_task(runner(Letters()).process(taken))
    taken.lost.set()
    assert await processing == HandedBack()


async def test_a_draining_runner_hands_back_what_it_has_and_what_comes():
    work = runner(Letters())
    processing = asyncio.create_task(work.process(Taken({"text": "wait"})))
    work.hand_back()
    assert await processing == HandedBack()
    assert await work.process(Taken({"text": "ok"})) == HandedBack()
