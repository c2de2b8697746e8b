"""Who is told of the end of a job."""

from types import SimpleNamespace
from typing import Any

import pytest

from jobs.engine.port import NewJob
from jobs.results import Results, read_result
from tests.unit.jobs.test_runner import Taken


@pytest.mark.parametrize(("origin", "told"), [(None, 0), ({"reply_to": "here"}, 1), ({"by": "node"}, 0)])
async def test_an_origin_of_others_is_no_reason_to_run_a_job_again(origin: Any, told: int):
    sent: list[NewJob] = []

    async def add(job: NewJob) -> None:
        sent.append(job)

    await Results(SimpleNamespace(add=add)).send(Taken({}, origin=origin), result=3)  # type: ignore[arg-type]
    assert [read_result(job.data).result for job in sent] == [3] * told


@pytest.mark.parametrize("origin", ["node", 7, ["here"]])
async def test_an_origin_that_is_no_object_tells_nobody(origin: Any):
    await Results(SimpleNamespace()).send(Taken({}, origin=origin), error="no")  # type: ignore[arg-type]
