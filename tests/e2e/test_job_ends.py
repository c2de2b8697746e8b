"""Ends of bots' jobs that meet a failing handler, a bot that has gone, or kills everywhere."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.fixtures.fleet import SCRIPTS, Bot, Fleet, lives, new_fleet
from tests.fixtures.sandbox import RunningSandbox
from tests.waiting import wait_until

FRETFUL = SCRIPTS / "fretful.py"

#: A job that notes its run and waits for the file ``go``.
JOBS = """
import asyncio
from pathlib import Path
from pydantic import BaseModel
from jobs.author import JobContext, job

class Text(BaseModel):
    text: str

@job("ECHO", timeout="2m")
async def echo(payload: Text, context: JobContext) -> Text:
    with Path("ran").open("a") as ran:
        ran.write(f"{payload.text}\\n")
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return payload
"""


@pytest.fixture
def fleet(tmp_path: Path, sandbox: RunningSandbox) -> Iterator[Fleet]:
    """A fleet with one job worker."""
    jobs = {"enabled": True, "modules": ["their_jobs"], "workers": 1}
    delivery = {"attempts": 20}  # an update that is alone at some kills is not given up
    with new_fleet(tmp_path / "project", sandbox, jobs=jobs, delivery=delivery) as made:
        (made.folder / "their_jobs.py").write_text(JOBS)
        yield made


def lines(fleet: Fleet, name: str) -> list[str]:
    path = fleet.folder / name
    return path.read_text().splitlines() if path.exists() else []


def let_go(fleet: Fleet) -> None:
    """Let jobs end."""
    (fleet.folder / "go").touch()


def wait_running(fleet: Fleet, text: str) -> None:
    """Wait until a worker has the job of this text."""
    wait_until(lambda: text in lines(fleet, "ran"), 60.0, what=f"the job of {text}")


def kill_bot(fleet: Fleet) -> None:
    """SIGKILL, and wait for the next process."""
    pid = fleet.pid("shop")
    os.kill(pid, signal.SIGKILL)
    fleet.wait_replaced("shop", pid)


def kill_job_worker(fleet: Fleet) -> None:
    """SIGKILL, as soon as it has the title that it gives itself, and wait until it is gone."""

    def find() -> int | None:
        for pid in fleet.children():
            with suppress(psutil.Error):
                if psutil.Process(pid).cmdline()[:1] == ["brama: jobs 1"]:
                    return pid
        return None

    pid = wait_until(find, 60.0, what="a job worker")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not lives(pid), what="its end")


def settled(fleet: Fleet, shop: Bot, answers: list[str]) -> None:
    """See that nothing more comes than these answers, and that nothing waits."""
    fleet.wait_handled("shop")
    assert shop.answers() == answers
    assert fleet.stop() == 0
    tally = fleet.tally("shop")
    assert (tally.waiting, tally.dead_letters) == (0, 0)
    assert tally.committed == tally.processed


def test_a_result_that_its_handler_cannot_take_is_a_dead_letter_to_be_replayed(fleet: Fleet):
    shop = fleet.add("shop", FRETFUL)
    let_go(fleet)
    fleet.start_and_wait()
    shop.send("fail")
    [letter] = fleet.letters("shop", 1)
    assert (letter.letter.kind, letter.letter.reason) == ("job_result", "handler_error")
    assert "job_result" in fleet.run("dead-letters", "list").stdout
    shown = fleet.run("dead-letters", "show", str(letter.letter.id), "--body").stdout
    assert "cannot bear it" in shown
    assert '"text":"fail"' in shown
    (fleet.folder / "mended").touch()
    assert fleet.run("dead-letters", "replay", str(letter.letter.id)).stdout == "replayed 1\n"
    assert shop.wait_answers(1) == ["answer: fail"]
    settled(fleet, shop, ["answer: fail"])


def test_an_end_waits_for_a_bot_that_has_gone_and_follows_it_to_its_new_name(fleet: Fleet):
    fleet.add("help", FRETFUL)
    shop = fleet.add("shop", FRETFUL)
    fleet.start_and_wait()
    shop.send("why?")
    wait_running(fleet, "why?")
    wait_until(lambda: lines(fleet, "asked"), what="its id")
    entry = fleet.entries.pop("shop")
    fleet.configure()
    assert fleet.run("reload").returncode == 0
    let_go(fleet)
    number = str(shop.telegram_id)
    wait_until(lambda: number in fleet.run("orphans", "list").stdout, 60.0, what="what is kept of it")
    fleet.entries["store"] = {**entry, "id": "store"}
    fleet.configure()
    assert fleet.run("reload").returncode == 0
    assert shop.wait_answers(1) == ["answer: why?"]
    assert fleet.worker("store").messages == 1
    assert fleet.worker("help").messages == 0


def test_whatever_is_killed_every_question_becomes_one_job_and_gets_its_answer(fleet: Fleet):
    shop = fleet.add("shop", FRETFUL)
    let_go(fleet)
    fleet.start_and_wait()
    questions = [f"q{number}" for number in range(60)]
    for number, question in enumerate(questions):
        shop.send(question, chat=1 + number % 5)
        match number:
            case 10 | 25 | 40:
                kill_bot(fleet)
            case 15 | 45:
                kill_job_worker(fleet)
            case 30:
                fleet.kill_master()
                fleet.start_and_wait()
            case 50:
                assert fleet.run("restart").returncode == 0
    expected = {f"answer: {question}" for question in questions}
    wait_until(lambda: expected <= set(shop.answers()), 120.0, what="all answers")
    fleet.wait_handled("shop")
    ids = dict.fromkeys(lines(fleet, "asked"))
    assert len(ids) == len(questions), "a question that became two jobs"
    assert set(shop.answers()) == expected
    assert fleet.stop() == 0
    tally = fleet.tally("shop")
    assert (tally.processed, tally.waiting, tally.dead_letters) == (2 * len(questions), 0, 0)
