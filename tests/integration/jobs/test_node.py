"""Node's BullMQ and Bull Board on our queues, and we on theirs."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.peers.node_bullmq import NoNodeError, install
from jobs.policy.verdict import Cause
from tests.integration.jobs import handlers
from tests.integration.jobs.handlers import Work
from tests.integration.jobs.processes import House, worker
from tests.waiting import await_until

SCRIPTS = Path(__file__).with_name("node")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the scripts and their packages; without Node it skips, and fails where CI=true."""
    try:
        packages = install()
    except NoNodeError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(SCRIPTS, folder, dirs_exist_ok=True)
    shutil.copy(packages.with_name("package.json"), folder)
    (folder / "node_modules").symlink_to(packages)
    return folder


@asynccontextmanager
async def script(folder: Path, name: str, at: House, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run a script on the server until the block ends; yield its standard output."""
    path = at.server.url.removeprefix("unix://")
    process = await asyncio.create_subprocess_exec(
        "node", name, path, *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def produce(folder: Path, at: House, queue: str, *jobs: dict[str, Any]) -> list[str]:
    """Have a producer in Node add jobs; return their ids, none if it refuses them."""
    async with script(folder, "produce.js", at, queue, json.dumps(jobs)) as output:
        ids: list[str] = json.loads(await output.readline() or "[]")
    return ids


async def test_our_worker_runs_jobs_of_a_producer_in_node(at: House, node: Path):
    data = Work(journal=at.journal, text="hällo").model_dump(mode="json")
    jobs = [
        {"name": "SAY", "data": data},
        {"name": "SAY", "data": data, "opts": {"jobId": "own-id", "priority": 5}},
        {"name": "SAY", "data": data, "opts": {"delay": 300}},
        {"name": "SAY", "data": {"wrong": 1}, "opts": {"removeOnFail": True, "attempts": 9}},
        {"name": "SHOUT", "data": data, "opts": {"removeOnFail": True}},
    ]
    ids = await produce(node, at, "SAY", *jobs)
    assert ids[:2] == ["1", "own-id"]
    async with worker(at):
        for job_id in ids[:3]:
            await at.wait_state("SAY", job_id, "completed")
        for job_id in ids[3:]:
            await at.wait_state("SAY", job_id, "failed")
    job = await at.queue.find("SAY", "own-id")
    assert job is not None
    assert job.result == {"said": "hällo"}
    letters = {letter.job_id: letter.cause for letter in await at.letters.latest()}
    assert letters == {ids[3]: Cause.BAD_PAYLOAD, ids[4]: Cause.UNKNOWN_TYPE}


async def test_our_ids_are_ones_that_node_takes(at: House, node: Path):
    ours = await at.producer.enqueue(handlers.say, Work(journal=at.journal), key="k")
    assert await produce(node, at, "SAY", {"name": "SAY", "data": {}, "opts": {"jobId": ours}}) == [ours]
    assert (await at.queue.counts("SAY"))["waiting"] == 1
    for refused in ("7", "a:b"):
        assert not await produce(node, at, "SAY", {"name": "SAY", "data": {}, "opts": {"jobId": refused}})


async def test_a_worker_in_node_runs_our_jobs(at: House, node: Path):
    async with script(node, "work.js", at, "SAY") as output:
        work = Work(journal=at.journal, text="hällo")
        ids = [
            await at.producer.enqueue(handlers.say, work),
            await at.producer.enqueue(handlers.say, work, key="k"),
            await at.producer.enqueue(handlers.say, work, delay="200ms"),
            await at.producer.enqueue(handlers.say, work, priority=3),
        ]
        for job_id in ids:
            await at.wait_state("SAY", job_id, "completed")
        said = [json.loads(await output.readline()) for _ in ids]
    assert sorted(line["id"] for line in said) == sorted(ids)
    assert {line["attempts"] for line in said} == {handlers.say.attempts}
    job = await at.queue.find("SAY", ids[0])
    assert job is not None
    assert (job.result, job.progress) == ({"said": "hällo"}, 50)


async def test_a_worker_in_node_keeps_to_our_attempts(at: House, node: Path):
    async with script(node, "work.js", at, "SAY"):
        job_id = await at.producer.enqueue(handlers.say, Work(journal=at.journal, text="unhappy"))
        await at.wait_state("SAY", job_id, "failed")
    job = await at.queue.find("SAY", job_id)
    assert job is not None
    assert (job.attempts_made, job.error) == (handlers.say.attempts, "node says no")


async def test_bull_board_lists_retries_and_cleans_our_jobs(at: House, node: Path):
    gate = at.state_dir / "gate"
    work = Work(journal=at.journal, text="until", gate=gate)
    kept, cleaned = [await at.producer.enqueue(handlers.fail, work) for _ in range(2)]
    async with (
        worker(at),
        script(node, "board.js", at, "FAIL") as output,
        aiohttp.ClientSession(f"http://127.0.0.1:{int(await output.readline())}") as board,
    ):
        for job_id in (kept, cleaned):
            await at.wait_state("FAIL", job_id, "failed")
        async with board.get("/api/queues", params={"activeQueue": "FAIL", "status": "failed"}) as answer:
            (queue,) = (await answer.json())["queues"]
        assert queue["counts"]["failed"] == 2
        assert {job["id"]: (job["name"], job["failedReason"]) for job in queue["jobs"]} == dict.fromkeys(
            (kept, cleaned), ("FAIL", "ValueError: no good")
        )
        assert "in fail" in queue["jobs"][0]["stacktrace"][0]

        async with board.put(f"/api/queues/FAIL/{cleaned}/clean") as answer:
            assert answer.status == 204
        assert await at.state("FAIL", cleaned) is None
        gate.touch()
        async with board.put(f"/api/queues/FAIL/{kept}/retry") as answer:
            assert answer.status == 204
        await at.wait_state("FAIL", kept, "completed")

        async def is_resolved() -> bool:
            return await at.letters.count_open() == 1

        await await_until(is_resolved)
    resolved = {letter.job_id: letter.note for letter in await at.letters.latest(include_resolved=True)}
    assert resolved == {kept: "completed after a retry", cleaned: ""}
