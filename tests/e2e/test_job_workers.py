"""Job workers under the master: they work, die, hang, leak, and are replaced; no job is lost."""

import os
import shutil
import signal
from collections import Counter

import psutil
import pytest

from supervisor.control.jobs_status import EngineState, JobWorkerStatus
from tests.fixtures.fleet import SCRIPTS, Fleet, lives
from tests.fixtures.job_fleet import JOBS, JobFleet, job_fleet, marked, worker_of
from tests.waiting import wait_until


@pytest.fixture
def jobs(fleet: Fleet) -> JobFleet:
    return job_fleet(fleet)


def test_two_workers_run_jobs_of_both_kinds(jobs: JobFleet):
    jobs.start()
    texts = [str(number) for number in range(4)]
    jobs.add("ASYNC", *texts, gate="go")
    wait_until(lambda: len(jobs.notes("begin")) == 4, 40.0, what="as many jobs at once as there are slots")
    assert {each.pid for each in jobs.notes("begin")} == set(jobs.workers().values())
    jobs.open("go")
    jobs.add("BLOCKING", *texts)
    jobs.wait_completed("ASYNC", *texts)
    jobs.wait_completed("BLOCKING", *texts)
    assert Counter(each.text for each in jobs.notes("end")) == dict.fromkeys(texts, 2)
    children = {each.pid for each in jobs.notes("end")} - set(jobs.workers().values())
    assert children
    assert all(worker_of(pid) in jobs.workers().values() for pid in children)
    assert jobs.fleet.stop() == 0


def test_jobs_of_a_killed_worker_go_on_elsewhere_and_it_is_replaced(jobs: JobFleet):
    jobs.start()
    before = jobs.workers()
    jobs.add("ASYNC", "a", gate="go")
    jobs.add("BLOCKING", "b", gate="go")
    begun = jobs.wait_begun("a", "b")
    killed = {worker_of(begun["a"].pid), worker_of(begun["b"].pid)}
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    jobs.wait_workers(2, other_than=killed)
    wait_until(lambda: len(jobs.notes("begin")) == 4, 40.0, what="both jobs to begin once more")
    jobs.open("go")
    jobs.wait_completed("ASYNC", "a")
    jobs.wait_completed("BLOCKING", "b")
    assert [each.attempt for each in jobs.notes("end")] == [1, 1]
    assert set(jobs.workers()) == set(before)
    deaths = jobs.fleet.events("job_worker.exited")
    assert {(each["pid"], each["signal"]) for each in deaths} == {(pid, "SIGKILL") for pid in killed}
    assert not lives(begun["b"].pid)


# --- the end of the master ------------------------------------------------------------------------


def test_a_stop_hands_back_what_cannot_be_finished_in_time(jobs: JobFleet):
    jobs.fleet.sections["stop"] = {"timeout": "2s"}
    jobs.start()
    jobs.add("ASYNC", "a", gate="go")
    jobs.add("BLOCKING", "b", gate="go")
    jobs.add("SPAWN", "s", gate="go")
    jobs.wait_begun("a", "b", "s")
    before = {*jobs.fleet.children(), *spawned(jobs)}
    assert jobs.fleet.stop() == 0
    assert not any(map(lives, before))
    assert marked(jobs.fleet.folder) == []
    jobs.open("go")
    jobs.start()
    for kind, text in (("ASYNC", "a"), ("BLOCKING", "b"), ("SPAWN", "s")):
        jobs.wait_completed(kind, text)
    assert {each.attempt for each in jobs.notes()} == {1}, "no attempt is spent"
    assert Counter(each.text for each in jobs.notes("begin")) == {"a": 2, "b": 2, "s": 2}
    assert jobs.fleet.stop() == 0


def test_a_second_signal_ends_everything_at_once(jobs: JobFleet):
    jobs.fleet.sections["stop"] = {"timeout": "1h"}
    jobs.start()
    jobs.add("ASYNC", "a", gate="go")
    jobs.add("BLOCKING", "b", gate="go")
    jobs.wait_begun("a", "b")
    before = jobs.fleet.children()
    jobs.master.terminate()
    wait_until(lambda: jobs.fleet.events("master.stopping"), what="the stop to begin")
    jobs.master.terminate()
    assert jobs.fleet.wait_ended() == 0
    assert not any(map(lives, before))
    assert marked(jobs.fleet.folder) == []


def test_nothing_outlives_a_killed_master_and_no_job_is_lost(jobs: JobFleet):
    jobs.start()
    jobs.add("ASYNC", "a", gate="go")
    jobs.add("BLOCKING", "b", gate="go")
    jobs.add("SPAWN", "s", gate="go")
    jobs.wait_begun("a", "b", "s")
    before = jobs.fleet.children()
    assert {jobs.server_pid(), jobs.wait_begun("b")["b"].pid, *spawned(jobs)} <= set(before)
    os.kill(spawned(jobs)[1], signal.SIGKILL)  # nothing tells whose it is
    jobs.fleet.kill_master()
    wait_until(
        lambda: not any(map(lives, set(before) - set(spawned(jobs)))), what="the end of what the master ran"
    )
    jobs.open("go")
    jobs.start()
    assert not any(map(lives, before)), "the next start ends what jobs have left behind"
    for kind, text in (("ASYNC", "a"), ("BLOCKING", "b"), ("SPAWN", "s")):
        jobs.wait_completed(kind, text)
    assert jobs.fleet.stop() == 0


def test_orphans_of_a_handler_end_with_its_worker_and_no_zombie_stays(jobs: JobFleet):
    """Even one in a session of its own that carries no mark."""
    jobs.start()
    jobs.add("SPAWN", "s", gate="go")
    child = jobs.wait_begun("s")["s"].pid
    before = used_memory(jobs)
    wait_until(lambda: used_memory(jobs) != before, 40.0, what="the worker to be looked at with its children")
    jobs.open("go")
    os.kill(child, signal.SIGKILL)
    jobs.wait_completed("SPAWN", "s")
    ended, orphan = spawned(jobs)[:2]
    wait_until(
        lambda: not psutil.pid_exists(ended), 40.0, what="the handler's session to be ended and reaped"
    )
    assert psutil.Process(orphan).ppid() == jobs.master.pid
    wait_until(lambda: not zombies(jobs), 40.0, what="no zombie")
    assert jobs.fleet.stop() == 0
    assert len(spawned(jobs)) == 4, "of two attempts"
    assert not any(map(lives, spawned(jobs)))


# --- workers that are no good ---------------------------------------------------------------------


def test_a_module_that_does_not_import_is_said_and_bots_serve(fleet: Fleet):
    jobs = job_fleet(fleet, modules=("broken_jobs",))
    module = fleet.folder / "broken_jobs.py"
    module.write_text("import nothing_of_this_name\n")
    bot = fleet.add("shop")
    fleet.start_and_wait()
    wait_until(lambda: {each.state for each in places(jobs)} == {"FATAL"}, 40.0, what="FATAL")
    assert all("nothing_of_this_name" in str(each.reason) for each in places(jobs))
    assert "nothing_of_this_name" in fleet.run("status").stdout
    assert bot.ask("hello") == "hello"
    shutil.copy(JOBS, module)
    assert fleet.run("restart").returncode == 0
    jobs.add("ASYNC", "a")
    jobs.wait_completed("ASYNC", "a")
    assert bot.ask("hello again") == "hello again"
    assert fleet.stop() == 0


def test_a_worker_that_hangs_is_killed_and_replaced(fleet: Fleet):
    jobs = job_fleet(fleet, workers=1, worker_timeout="10s")
    jobs.start()
    jobs.add("ASYNC", "a", gate="go")
    pid = jobs.wait_begun("a")["a"].pid
    os.kill(pid, signal.SIGSTOP)
    jobs.wait_workers(other_than={pid})
    assert not lives(pid)
    assert "Current thread" in jobs.log(1), "it says where it stood"
    assert [each["pid"] for each in fleet.events("job_worker.hung")] == [pid]
    jobs.open("go")
    jobs.wait_completed("ASYNC", "a")


def test_a_worker_that_uses_too_much_memory_is_replaced(fleet: Fleet):
    jobs = job_fleet(fleet, workers=1, memory_per_worker="150MB")
    jobs.start()
    jobs.add("LEAK", "a")
    pid = jobs.wait_begun("a")["a"].pid
    jobs.wait_completed("LEAK", "a")
    jobs.wait_workers(other_than={pid})
    exited = fleet.events("job_worker.exited")[0]
    assert (exited["pid"], exited["code"]) == (pid, 0)
    assert "jobs.memory_per_worker" in exited["reason"]


def test_a_worker_that_dies_too_often_is_given_up(fleet: Fleet):
    fleet.sections["restart"] = {"budget": 1, "cooldown": "1h"}
    jobs = job_fleet(fleet, workers=1)
    bot = fleet.add("shop")
    jobs.start()
    pids = set[int]()
    for _ in range(2):
        pids.update(jobs.wait_workers(other_than=pids).values())
        wait_until(lambda: places(jobs)[0].state == "RUNNING", 40.0)
        os.kill(jobs.workers()[1], signal.SIGKILL)
        wait_until(lambda: places(jobs)[0].state != "RUNNING", 40.0)
    wait_until(lambda: places(jobs)[0].state == "FATAL", 60.0, what="FATAL")
    assert "SIGKILL" in str(places(jobs)[0].reason)
    assert bot.ask("hello") == "hello"


# --- the queue's server -----------------------------------------------------------------------------


def test_a_server_that_is_killed_is_started_again_and_jobs_go_on(jobs: JobFleet):
    jobs.start()
    jobs.add("ASYNC", "a", gate="go")
    jobs.wait_begun("a")
    before, server = jobs.workers(), jobs.wait_server()
    os.kill(server, signal.SIGKILL)
    jobs.wait_server(other_than=server)
    wait_until(lambda: len(jobs.fleet.events("queue.server_started")) == 2, 40.0, what="it to take commands")
    jobs.open("go")
    jobs.wait_completed("ASYNC", "a")
    jobs.add("BLOCKING", "b")
    jobs.wait_completed("BLOCKING", "b")
    assert jobs.workers() == before


def test_bots_serve_while_the_server_cannot_start_and_jobs_come_later(fleet: Fleet):
    shutil.copy(SCRIPTS / "asking_jobs.py", fleet.folder)
    jobs = job_fleet(fleet, modules=("asking_jobs",))
    folder = fleet.state_dir / "queue"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    bot = fleet.add("asking", SCRIPTS / "asking.py")
    fleet.start_and_wait()
    assert bot.ask("SHOUT hello") == "asked hello"
    wait_until(lambda: (status := fleet.status().jobs) and status.outbox == 1, what="the outbox")
    status = fleet.status().jobs
    assert status is not None
    assert status.engine == EngineState.DOWN
    assert "is not ours alone" in str(status.reason)
    assert "is not ours alone" in fleet.run("status").stdout
    folder.chmod(0o700)
    assert bot.wait_answers(2, 60.0)[1] == "hello: HELLO"
    jobs.wait_server()
    wait_until(lambda: (status := fleet.status().jobs) and status.engine == EngineState.OK, what="ok")
    assert fleet.stop() == 0


# --- what jobs print --------------------------------------------------------------------------------


def test_what_jobs_print_is_in_the_log_without_secrets(fleet: Fleet):
    """The key of the LLM backend is one of them."""
    key = "key-0123456789-of-somebody"
    jobs = job_fleet(fleet, workers=1, backend={"port": 0, "api_keys": [key]})
    jobs.start()
    jobs.add("PRINT", f"async-{key}")
    jobs.add("PRINT_BLOCKING", "blocking")
    wait_until(lambda: len(jobs.notes("end")) == 2, 60.0, what="both jobs")
    lines = jobs.log(1).splitlines()
    assert {"async-<hidden>", "blocking", "complaining blocking"} <= set(lines)
    log = fleet.folder / "logs" / "jobs_1.log"
    assert key not in log.read_text()
    log.rename(log.with_name("jobs_1.log.old"))
    wait_until(log.exists, what="a new file")
    jobs.add("PRINT", "later")
    wait_until(lambda: "later" in jobs.log(1).splitlines(), 40.0, what="the print")


def spawned(jobs: JobFleet) -> list[int]:
    """Return what SPAWN has started; of two, the second is in a session of its own without a mark."""
    return [int(each.deed.split()[1]) for each in jobs.notes() if each.deed.startswith("child ")]


def places(jobs: JobFleet) -> tuple[JobWorkerStatus, ...]:
    """Return what the status says of the workers."""
    status = jobs.fleet.status().jobs
    assert status is not None
    return status.workers


def used_memory(jobs: JobFleet) -> int:
    """Return the memory of all workers as last looked at."""
    return sum(each.memory_bytes for each in places(jobs))


def zombies(jobs: JobFleet) -> list[psutil.Process]:
    """Return what has ended below the master and was not waited for."""
    below = jobs.master.children(recursive=True)
    return [each for each in below if psutil.pid_exists(each.pid) and not lives(each.pid)]
