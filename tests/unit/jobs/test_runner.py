"""What the runner answers the engine when dead letters cannot be written, or while it drains."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from brama.errors import StateError
from jobs.author import JobContext, PermanentError, job
from jobs.engine.port import Completed, Failed, HandedBack, NewJob, Retried
from jobs.errors import EngineUnavailableError
from jobs.execution import runner as runner_module
from jobs.execution.children import Children
from jobs.execution.runner import Runner
from jobs.policy.backoff import exponential
from jobs.registry import Registry
from jobs.results import Results
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
        case "turn":
            await context.wait_for_turn()
    return payload.text


@job("COUNT", limited_by=lambda payload: payload.text)
async def count(payload: Page, context: JobContext) -> str:
    await context.wait_for_turn()
    await context.wait_for_turn("another")
    return payload.text


WHOSE: dict[str, Any] = {"none": None, "seven": 7}


@job("CHECK", attempts=1, limited_by=lambda payload: WHOSE[payload.text])
async def check(payload: Page, context: JobContext) -> None:
    pass


async def mourn(data: Any, error: str) -> None:
    match data["text"]:
        case "raise":
            raise LookupError("nobody to tell")
        case "exit":
            raise SystemExit(1)
        case "hang":
            await asyncio.Event().wait()
        case "store":
            raise StateError("the disk is full")


@job("MOURNED", attempts=1, when_dead=mourn)
async def mourned(payload: Page, context: JobContext) -> None:
    raise PermanentError("never")


@dataclass
class Taken:
    """A job in a worker's hands."""

    data: Any
    name: str = "READ"
    queue: str = "READ"
    job_id: str = "a"
    attempt: int = 1
    stalls: int = 0
    is_back: bool = False
    given_up: str | None = None
    created_utc_ms: int = 1500
    origin: Any = None
    lost: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

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


class Limiter:
    """A limit that answers as told, and has room after that."""

    def __init__(self, *answers: float | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, bool]] = []

    async def take(self, key: str, *, ahead: bool = False) -> float:
        self.asked.append((key, ahead))
        answer = self._answers.pop(0) if self._answers else 0.0
        if isinstance(answer, Exception):
            raise answer
        return answer


class Accepting:
    """In place of a producer."""

    def __init__(self) -> None:
        self.jobs: list[NewJob] = []

    async def add(self, job: NewJob) -> None:
        self.jobs.append(job)


def runner(letters: Letters, limiter: Limiter | None = None, results: Any = Told()) -> Runner:
    return Runner(
        Registry([read, count, check, mourned]),
        Children([]),
        letters,  # type: ignore[arg-type]
        results,
        lambda _: limiter or Limiter(),
        pytest.fail,
        jitter=lambda: 0.0,
    )


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
    taken.lost.set_result(None)
    assert await processing == HandedBack()


async def test_a_draining_runner_hands_back_what_it_has_and_what_comes():
    work = runner(Letters())
    processing = asyncio.create_task(work.process(Taken({"text": "wait"})))
    work.hand_back()
    assert await processing == HandedBack()
    assert await work.process(Taken({"text": "ok"})) == HandedBack()


async def test_a_limited_job_is_not_begun_but_handed_back_until_its_turn():
    limiter = Limiter(12.5, 0.5)
    work = runner(Letters(), limiter)
    taken = Taken({"text": "shop"}, name="COUNT", queue="COUNT")
    assert await work.process(taken) == HandedBack(12.5)
    taken.is_back = True
    assert await work.process(taken) == HandedBack(0.5)
    assert await work.process(taken) == Completed("shop")
    assert limiter.asked == [
        ("shop", False),
        ("shop", True),
        ("shop", True),
        ("shop", True),
        ("another", True),
    ]


async def test_a_job_whose_limit_cannot_be_asked_about_is_not_begun():
    work = runner(Letters(), Limiter(EngineUnavailableError("away")))
    assert await work.process(Taken({"text": "shop"}, name="COUNT", queue="COUNT")) == HandedBack(1.0)


async def test_a_job_that_is_given_up_or_has_a_bad_payload_takes_nothing():
    limiter = Limiter()
    work = runner(Letters(), limiter)
    assert isinstance(await work.process(Taken({}, name="COUNT", queue="COUNT")), Failed)
    given_up = Taken({"text": "a"}, name="COUNT", queue="COUNT", given_up="stalled")
    assert isinstance(await work.process(given_up), Failed)
    assert limiter.asked == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("none", "limited_by returned NoneType; it must name whose limit counts"),
        ("other", "KeyError: 'other'"),
    ],
)
async def test_a_job_that_names_nobody_is_not_run_without_a_limit(text: str, error: str):
    limiter, letters = Limiter(), Letters()
    await runner(letters, limiter).process(Taken({"text": text}, name="CHECK", queue="CHECK"))
    assert [letter.error for letter in letters.letters] == [error]
    assert limiter.asked == []


async def test_an_id_that_is_a_number_names_somebody_too():
    limiter = Limiter()
    await runner(Letters(), limiter).process(Taken({"text": "seven"}, name="CHECK", queue="CHECK"))
    assert limiter.asked == [("7", False)]


async def test_a_wait_for_nobody_is_refused():
    outcome = await runner(Letters()).process(Taken({"text": "turn"}))
    assert isinstance(outcome, Retried)
    assert "wait_for_turn() has no key" in outcome.error


@pytest.mark.parametrize("text", ["raise", "exit", "hang"])
async def test_a_death_is_told_though_its_author_fails_to_take_note(
    text: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner_module, "MOURNING_S", 0.01)
    letters = Letters()
    outcome = await runner(letters).process(Taken({"text": text}, name="MOURNED", queue="MOURNED"))
    assert outcome == Failed("PermanentError: never", letters.letters[0].stack)


async def test_a_death_that_cannot_be_noted_for_want_of_room_is_told_later():
    taken = Taken({"text": "store"}, name="MOURNED", queue="MOURNED")
    assert await runner(Letters()).process(taken) == HandedBack(30.0)


@pytest.mark.parametrize("origin", ["me", {}, {"reply_to": 7}, {"reply_to": "a:b"}, [1]])
async def test_a_job_of_a_malformed_origin_ends_and_nobody_is_told(origin: Any):
    producer = Accepting()
    work = runner(Letters(), results=Results(producer))
    assert await work.process(Taken({"text": "ok"}, origin=origin)) == Completed("ok")
    assert producer.jobs == []
    assert await work.process(Taken({"text": "ok"}, origin={"reply_to": "a"})) == Completed("ok")
    assert [each.queue for each in producer.jobs] == ["a"]
