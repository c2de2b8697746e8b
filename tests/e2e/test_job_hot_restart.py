"""Job workers over hot restarts: the installed command, real jobs, none lost, none run twice."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from brama.exit_codes import ExitCode
from tests.fixtures.fleet import COMMAND, Fleet, lives
from tests.fixtures.job_fleet import JOBS, JobFleet, job_fleet
from tests.fixtures.releases import Releases
from tests.waiting import wait_until


@pytest.fixture
def jobs(fleet: Fleet) -> JobFleet:
    return job_fleet(fleet)


def restart(jobs: JobFleet) -> None:
    """Restart hot by command, with the configuration as it is by now."""
    jobs.fleet.configure()
    done = jobs.fleet.run("restart")
    assert done.returncode == ExitCode.OK, done.stderr


@contextmanager
def stream(jobs: JobFleet) -> Iterator[list[str]]:
    """Enqueue jobs all the time; gives their names."""
    names, stop = list[str](), Event()

    def add() -> None:
        while not stop.wait(0.02):
            number = len(names)
            jobs.add("ASYNC" if number % 2 else "BLOCKING", str(number))
            names.append(str(number))

    streaming = Thread(target=add)
    streaming.start()
    try:
        yield names
    finally:
        stop.set()
        streaming.join()


def wait_ended_once(jobs: JobFleet, *names: str) -> None:
    """Wait until these jobs have ended, and see that each began once, at its first attempt."""
    wait_until(lambda: {each.text for each in jobs.notes("end")} >= set(names), 90.0, what="all jobs to end")
    assert Counter(each.text for each in jobs.notes("begin")) == Counter(names)
    assert {each.attempt for each in jobs.notes()} == {1}


def test_a_stream_of_jobs_goes_on_through_restarts_also_in_a_row(jobs: JobFleet):
    jobs.start()
    server, former = jobs.wait_server(), set(jobs.workers().values())
    with stream(jobs) as names:
        wait_until(lambda: len(jobs.notes("end")) > 5, 60.0, what="some jobs")
        restart(jobs)
        restart(jobs)
        former |= set(jobs.wait_workers(other_than=former).values())
        for _ in range(2):
            os.kill(jobs.master.pid, signal.SIGUSR2)
        wait_until(lambda: jobs.fleet.status().master.hot_restarts > 2, 60.0, what="a restart by signal")
        jobs.wait_workers(other_than=former)
    wait_ended_once(jobs, *names)
    assert jobs.server_pid() == server
    assert not any(map(lives, former))
    assert jobs.fleet.stop() == ExitCode.OK


def test_there_may_be_fewer_and_more_workers_afterwards(jobs: JobFleet):
    jobs.start()
    texts = ("a", "b", "c", "d")
    jobs.add("ASYNC", *texts, gate="go")
    jobs.wait_begun(*texts)
    former = jobs.workers().values()
    jobs.fleet.sections["jobs"]["workers"] = 1
    restart(jobs)
    jobs.open("go")
    last = jobs.wait_workers(other_than=former).values()
    wait_ended_once(jobs, *texts)
    jobs.fleet.sections["jobs"]["workers"] = 3
    restart(jobs)
    assert set(jobs.wait_workers(other_than=last)) == {1, 2, 3}
    status = jobs.fleet.status().jobs
    assert status is not None
    assert len(status.workers) == 3
    assert jobs.fleet.stop() == ExitCode.OK


def test_a_queue_that_is_configured_no_more_ends_and_bots_go_on(jobs: JobFleet):
    bot = jobs.fleet.add("shop")
    jobs.start()
    jobs.add("BLOCKING", "b", gate="go")
    jobs.wait_begun("b")
    before = [jobs.wait_server(), *jobs.workers().values()]
    jobs.fleet.sections["jobs"]["enabled"] = False
    restart(jobs)
    assert bot.ask("hello") == "hello"
    jobs.open("go")
    wait_until(lambda: not any(map(lives, before)), 60.0, what="the end of the queue")
    assert jobs.fleet.status().jobs is None
    assert bot.ask("hello again") == "hello again"
    jobs.fleet.sections["jobs"]["enabled"] = True
    restart(jobs)
    jobs.wait_workers()
    wait_ended_once(jobs, "b")
    jobs.wait_completed("BLOCKING", "b")
    assert jobs.fleet.stop() == ExitCode.OK


def test_a_module_that_does_not_import_keeps_everything_as_it_is(fleet: Fleet):
    jobs = job_fleet(fleet, modules=("changing_jobs",))
    module = fleet.folder / "changing_jobs.py"
    shutil.copy(JOBS, module)
    jobs.start()
    former = jobs.workers()
    module.write_text("def broken(:\n")
    refused = fleet.run("restart")
    assert refused.returncode != ExitCode.OK
    assert "changing_jobs.py" in refused.stderr
    jobs.add("ASYNC", "a")
    jobs.wait_completed("ASYNC", "a")
    assert jobs.workers() == former
    assert fleet.run("status").returncode == ExitCode.OK
    assert fleet.stop() == ExitCode.OK


def test_former_workers_serve_on_while_a_module_does_not_import_in_the_next_ones(fleet: Fleet):
    jobs = job_fleet(fleet, modules=("changing_jobs",))
    module = fleet.folder / "changing_jobs.py"
    shutil.copy(JOBS, module)
    jobs.start()
    former = jobs.workers()
    module.write_text(
        "import sys\nif any(name.startswith('supervisor') for name in sys.modules):  # the trial\n"
        "    from working_jobs import work_async\nelse:\n    import nothing_of_this_name\n"
    )
    shutil.copy(JOBS, fleet.folder)
    restart(jobs)
    wait_until(lambda: fleet.events("job_workers.not_renewed"), 60.0, what="the log to say so")
    told = fleet.events("job_workers.not_renewed")[0]
    assert told["workers"] == [2]
    assert "nothing_of_this_name" in told["reason"]
    status = fleet.status().jobs
    assert status is not None
    assert [each.state for each in status.workers] == ["FATAL", "RUNNING"]
    shown = fleet.run("status")
    assert "nothing_of_this_name" in shown.stdout
    assert shown.returncode == ExitCode.FAILED
    jobs.add("ASYNC", "a")
    jobs.wait_completed("ASYNC", "a")
    assert jobs.notes("end")[0].pid == former[2]
    shutil.copy(JOBS, module)
    restart(jobs)
    jobs.wait_workers(other_than=former.values())
    assert fleet.stop() == ExitCode.OK


def test_a_restart_that_fails_at_the_last_moment_loses_no_job(jobs: JobFleet, tmp_path: Path):
    releases = Releases(tmp_path / "releases")
    releases.switch("one")
    jobs.fleet.command_path = str(releases.current)
    jobs.start()
    server = jobs.wait_server()
    jobs.add("ASYNC", "a", gate="go")
    jobs.add("BLOCKING", "b", gate="go")
    jobs.wait_begun("a", "b")
    releases.switch("fleeting", "if sys.argv[1] == 'prove': os.unlink(sys.argv[0])")
    jobs.fleet.command_path = COMMAND
    done = jobs.fleet.run("restart")
    assert done.returncode == ExitCode.FAILED
    assert "cannot be executed" in done.stderr
    jobs.open("go")
    jobs.add("ASYNC", "c")
    wait_ended_once(jobs, "a", "b", "c")
    assert jobs.server_pid() == server
    releases.switch("mended")
    former = jobs.wait_workers().values()
    restart(jobs)
    jobs.wait_workers(other_than=former)
    assert jobs.fleet.stop() == ExitCode.OK
