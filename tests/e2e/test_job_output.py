"""What jobs print: in their worker's log, without secrets, and in files of bounded size."""

from tests.fixtures.fleet import Fleet
from tests.fixtures.job_fleet import job_fleet
from tests.waiting import wait_until

TOKEN = "123456:" + "a" * 35


def test_what_both_kinds_of_jobs_print_is_hidden_and_rotated(fleet: Fleet):
    fleet.sections["log"] = {"rotate_size": "100KB"}
    jobs = job_fleet(fleet, workers=1)
    jobs.start()
    jobs.add("PRINT", f"token {TOKEN} of one")
    jobs.add("PRINT_BLOCKING", f"token {TOKEN} of two")
    jobs.wait_completed("PRINT", f"token {TOKEN} of one")
    jobs.wait_completed("PRINT_BLOCKING", f"token {TOKEN} of two")
    text = jobs.log(1)
    assert "token 123456:<hidden> of one" in text
    assert "token 123456:<hidden> of two" in text
    assert TOKEN not in text

    logs, count = fleet.folder / "logs", 0
    (logs / "jobs_1.log").rename(logs / "taken_away")

    def follows() -> bool:
        nonlocal count
        count += 1
        jobs.add("PRINT_BLOCKING", f"after {count}")
        jobs.wait_completed("PRINT_BLOCKING", f"after {count}")
        return "complaining after" in jobs.log(1)

    wait_until(follows, 60.0, what="a child to print into the new file")
    for number in range(3):
        jobs.add("PRINT", f"{number}" + "x" * 50_000)
    wait_until((logs / "jobs_1.log.1").exists, 60.0, what="what is printed to be rotated")
    assert fleet.stop() == 0
