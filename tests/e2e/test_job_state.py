"""A master whose jobs.db is of no use: it refuses to start, and one that has bots goes on without jobs."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from brama.exit_codes import ExitCode
from tests.e2e.test_job_ends import FRETFUL, JOBS, let_go
from tests.fixtures.fleet import Fleet, lives, new_fleet
from tests.fixtures.job_fleet import JobFleet
from tests.fixtures.sandbox import RunningSandbox
from tests.waiting import wait_until


@pytest.fixture
def fleet(tmp_path: Path, sandbox: RunningSandbox) -> Iterator[Fleet]:
    """A fleet with one job worker, whose jobs end at once."""
    jobs = {"enabled": True, "modules": ["their_jobs"], "workers": 1}
    with new_fleet(tmp_path / "project", sandbox, jobs=jobs) as made:
        (made.folder / "their_jobs.py").write_text(JOBS)
        let_go(made)
        yield made


def test_a_cold_start_refuses_and_a_hot_restart_keeps_its_bots(fleet: Fleet):
    shop = fleet.add("shop", FRETFUL)
    file = fleet.state_dir / "jobs.db"
    file.parent.mkdir(mode=0o700)
    file.write_bytes(b"no database at all, and longer than a header" * 100)
    fleet.start()
    assert fleet.wait_ended() == ExitCode.FAILED
    assert "jobs.db: file is not a database" in fleet.output().splitlines()[-1]
    assert "Traceback" not in fleet.output()

    file.unlink()
    fleet.start_and_wait()
    assert shop.ask("one") == "answer: one"
    with closing(sqlite3.connect(file)) as theirs:
        (present,) = theirs.execute("PRAGMA user_version").fetchone()
        theirs.execute("PRAGMA user_version = 99")
        refused = fleet.run("restart")
        theirs.execute(f"PRAGMA user_version = {present}")
    assert refused.returncode == ExitCode.FAILED
    assert "jobs.db: was made by a newer brama-supervisor" in refused.stdout + refused.stderr

    # This one passes the trial, and cannot be opened after it.
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
        (fleet.state_dir / name).unlink()
    file.symlink_to(fleet.folder / "nowhere" / "jobs.db")
    assert fleet.run("restart").returncode == 0
    assert fleet.status().master.hot_restarts == 1

    def is_down() -> bool:
        jobs = fleet.status().jobs
        return jobs is not None and jobs.engine == "down" and "jobs.db: cannot be" in (jobs.reason or "")

    wait_until(is_down, what="the status to say so")
    shop.send("two")
    [letter] = fleet.letters("shop", 1)
    assert letter.letter.error == "brama.errors.NotAcceptedError"
    assert "job ECHO: not taken over: " in fleet.log("shop")

    file.unlink()
    wait_until(lambda: (jobs := fleet.status().jobs) and jobs.engine == "ok", 60.0, what="jobs again")
    assert shop.ask("three") == "answer: three"
    assert fleet.stop() == 0


def test_a_frozen_server_of_a_master_that_was_killed_is_ended_by_the_next(fleet: Fleet):
    shop = fleet.add("shop", FRETFUL)
    fleet.start_and_wait()
    assert shop.ask("one") == "answer: one"
    jobs = JobFleet(fleet)
    frozen = jobs.wait_server()
    assert fleet.run("restart").returncode == 0
    assert jobs.wait_server() == frozen
    os.kill(frozen, signal.SIGSTOP)
    fleet.kill_master()
    assert lives(frozen)
    fleet.start_and_wait()
    wait_until(lambda: not lives(frozen), what="the end of the frozen server")
    assert jobs.wait_server(other_than=frozen)
    assert shop.ask("two") == "answer: two"
    assert fleet.stop() == 0
