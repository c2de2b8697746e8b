"""Bots that have slow work done by jobs: the installed command, a real queue, real workers and bots."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from brama.exit_codes import ExitCode
from tests.fixtures.fleet import SCRIPTS, Bot, Fleet, new_fleet
from tests.fixtures.sandbox import running_sandbox
from tests.waiting import wait_until

ASKING = SCRIPTS / "asking.py"
JOBS = SCRIPTS / "asking_jobs.py"


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet with a job queue, one bot, and the jobs it asks for."""
    jobs = {"enabled": True, "modules": [JOBS.stem], "workers": 1, "limits": {"per_hour": 2}}
    with (
        running_sandbox() as sandbox,
        new_fleet(tmp_path / "project", sandbox, jobs=jobs) as fleet,
    ):
        shutil.copy(JOBS, fleet.folder)
        yield fleet


def notes(fleet: Fleet) -> list[str]:
    """Return what the jobs have noted."""
    path = fleet.folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def go(fleet: Fleet) -> None:
    """Let jobs that wait go on."""
    (fleet.folder / "go").touch()


def wait_begun(fleet: Fleet, text: str) -> None:
    """Wait until the job WAIT with this text runs."""
    wait_until(lambda: f"WAIT {text}" in notes(fleet), 40.0, what=f"the job {text}")


def child(fleet: Fleet, title: str) -> psutil.Process:
    """Return the master's child with this in its command line."""
    assert fleet.process is not None
    children = psutil.Process(fleet.process.pid).children()
    return next(each for each in children if title in " ".join(each.cmdline()))


def start(fleet: Fleet, **keys: object) -> Bot:
    """Start a bot and wait until it serves."""
    bot = fleet.add("asking", ASKING, **keys)
    fleet.start_and_wait()
    return bot


def test_a_question_is_answered_by_a_job_and_a_failure_is_told(asking: Fleet):
    bot = start(asking)
    assert bot.ask("SHOUT hello") == "asked hello"
    assert bot.wait_answers(2)[1] == "hello: HELLO"
    assert bot.ask("REFUSE this") == "asked this"
    assert bot.wait_answers(4)[3] == "this: PermanentError: no, never"
    asking.wait_handled("asking")
    assert asking.stop() == ExitCode.OK
    tally = asking.tally("asking")
    assert (tally.processed, tally.dead_letters) == (4, 0)


def test_the_answer_wakes_a_bot_that_has_fallen_asleep(asking: Fleet):
    bot = start(asking, idle_timeout="1s")
    bot.ask("WAIT dreams")
    wait_begun(asking, "dreams")
    asking.wait_state("SLEEPING")
    go(asking)
    assert bot.wait_answers(2)[1] == "dreams: dreams"


def test_an_update_that_comes_again_after_a_death_asks_for_no_second_job(asking: Fleet):
    bot = start(asking)
    bot.send("SHOUT and die")
    wait_until(lambda: asking.letters("asking"), 60.0, what="the update that kills the bot is given up")
    assert bot.wait_answers(1) == ["and die: AND DIE"]
    asking.wait_handled("asking")
    assert notes(asking) == ["SHOUT and die"]
    assert len(bot.answers()) == 1


def test_jobs_and_their_answers_go_on_over_a_hot_restart(asking: Fleet):
    bot = start(asking)
    bot.ask("WAIT here")
    wait_begun(asking, "here")
    server = child(asking, "queue/redis.sock")
    restarted = asking.run("restart")
    assert restarted.returncode == ExitCode.OK, restarted.stderr
    assert server.is_running()
    go(asking)
    assert bot.wait_answers(2)[1] == "here: here"
    assert bot.ask("SHOUT again") == "asked again"
    assert bot.wait_answers(4)[3] == "again: AGAIN"
    assert len([line for line in notes(asking) if line == "WAIT here"]) == 1


def test_a_killed_master_loses_no_job_and_no_answer(asking: Fleet):
    bot = start(asking)
    bot.ask("WAIT for it")
    wait_begun(asking, "for it")
    children = psutil.Process(asking.process.pid).children(recursive=True) if asking.process else []
    asking.kill_master()
    wait_until(lambda: not any(map(_lives, children)), what="the end of all that the master ran")
    go(asking)
    asking.start_and_wait()
    assert bot.wait_answers(2, 60.0)[1] == "for it: for it"
    asking.wait_handled("asking")
    assert len(bot.answers()) == 2


def test_a_bot_gets_its_job_taken_over_while_the_server_is_away(asking: Fleet):
    bot = start(asking)
    bot.ask("SHOUT first")
    bot.wait_answers(2)
    server = child(asking, "queue/redis.sock")
    server.send_signal(signal.SIGSTOP)
    try:
        assert bot.ask("SHOUT second") == "asked second"
    finally:
        server.send_signal(signal.SIGCONT)
    assert bot.wait_answers(4, 60.0)[3] == "second: SECOND"
    os.kill(child(asking, "queue/redis.sock").pid, signal.SIGKILL)
    assert bot.ask("SHOUT third") == "asked third"
    assert bot.wait_answers(6, 60.0)[5] == "third: THIRD"


def test_jobs_above_the_configured_limit_wait_and_the_others_go_on(asking: Fleet):
    bot = start(asking)
    for number, text in enumerate(("One", "Two"), 1):
        bot.ask(f"WHISPER {text}")
        assert bot.wait_answers(2 * number)[-1] == f"{text}: {text.lower()}"
    bot.ask("WHISPER Three")
    (log,) = (asking.folder / "logs").glob("jobs_*.log")
    wait_until(lambda: "job.limited" in log.read_text(), what="the third job is limited")
    assert bot.ask("SHOUT four") == "asked four"
    assert bot.wait_answers(7)[6] == "four: FOUR"
    assert notes(asking) == ["WHISPER One", "WHISPER Two", "SHOUT four"]


def test_a_type_that_nobody_runs_is_named(asking: Fleet):
    bot = start(asking)
    assert bot.ask("SHUOT hello") == "asked hello"

    def unserved() -> tuple[str, ...]:
        jobs = asking.status().jobs
        return () if jobs is None else jobs.unserved

    assert wait_until(unserved, 40.0, what="the status to name the queue") == ("SHUOT",)
    assert "nobody takes the jobs of SHUOT" in asking.run("status").stdout
    (warning,) = asking.events("queue.unserved")
    assert warning["queue"] == "SHUOT"


def test_without_a_queue_a_bot_is_told_what_to_set(fleet: Fleet):
    bot = fleet.add("asking", ASKING)
    fleet.start_and_wait()
    bot.send("SHOUT in vain")
    (letter,) = fleet.letters("asking", 1)
    assert "jobs.enabled" in (letter.detail or "")


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
