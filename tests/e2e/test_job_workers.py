"""Job workers under the master: they work, die, hang, leak, and are replaced; no job is lost."""

import os
import signal
from collections import Counter

import pytest

from tests.fixtures.fleet import Fleet, lives
from tests.fixtures.job_fleet import JobFleet, job_fleet, worker_of
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
