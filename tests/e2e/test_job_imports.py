"""A project whose own packages have the names of ours: its jobs run, and what cannot be had is said."""

from tests.fixtures.fleet import Fleet
from tests.fixtures.job_fleet import JobFleet, job_fleet
from tests.waiting import wait_until


def with_packages(fleet: Fleet, *names: str) -> None:
    """Give the project packages that say so if they are imported in place of ours."""
    for name in names:
        folder = fleet.folder / name
        folder.mkdir()
        (folder / "__init__.py").write_text('raise RuntimeError("of the project")\n')
        (folder / "reports.py").touch()


def reason(jobs: JobFleet) -> str:
    def find() -> str | None:
        status = jobs.fleet.status().jobs
        return status.workers[0].reason if status is not None and status.workers else None

    found = wait_until(find, 60.0, what="why there is no worker")
    assert found is not None
    return found


def test_packages_of_the_project_do_not_pass_for_ours(fleet: Fleet):
    jobs = job_fleet(fleet, workers=1)
    with_packages(fleet, "jobs", "brama", "supervisor")
    fleet.environ["PYTHONPATH"] = str(fleet.folder / "elsewhere")
    jobs.start()
    jobs.add("ASYNC", "a")
    jobs.add("BLOCKING", "b")
    jobs.wait_completed("ASYNC", "a")
    jobs.wait_completed("BLOCKING", "b")
    assert fleet.stop() == 0


def test_a_module_in_a_package_of_our_name_is_refused_with_the_way_out(fleet: Fleet):
    jobs = job_fleet(fleet, ("jobs.reports",), workers=1)
    with_packages(fleet, "jobs")
    fleet.add("shop")
    fleet.start_and_wait()
    said = reason(jobs)
    assert "jobs: jobs.reports cannot be imported: " in said
    assert "jobs is the supervisor's own package, so rename yours if you have one" in said
    assert fleet.stop() == 0
