"""The service as its callers see it, with a real server behind it that is stopped and started."""

import asyncio
import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from brama.errors import ConfigError
from brama.listening import ListenError
from jobs.engine.server import QueueServer
from jobs.llm.server import BackendServer
from jobs.llm.tasks import process_task
from jobs.policy.ids import job_id_for
from jobs.storage.database import Database
from tests.integration.jobs.llm.stage import (
    KEY,
    OTHER_KEY,
    QUESTION,
    Backend,
    backend,
    llm_worker,
    receiver,
    terms,
)
from tests.integration.jobs.processes import House, house
from tests.ports import free_port
from tests.waiting import await_until

QUEUE = process_task.queue


def job_id(task_id: str) -> str:
    return job_id_for(QUEUE, QUEUE, task_id)


@contextmanager
def stopped(server: QueueServer) -> Iterator[None]:
    """Have a server that accepts connections and says nothing."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def raw(service: Backend, data: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    sent = {"X-API-Key": KEY, "Content-Type": "application/json"} | headers
    async with service.session.post(f"{service.url}/api/process", data=BytesIO(data), headers=sent) as answer:
        return answer.status, await answer.json()


async def test_a_question_is_taken_once_however_often_it_is_asked(at: House):
    async with backend(at, terms()) as service:
        first = await service.ask("t")
        assert first == (202, {"success": True, "taskId": "t", "message": "Task added to queue"})
        answers = await asyncio.gather(*(service.ask("t") for _ in range(20)))
        assert answers == [first] * 20
        assert await service.ask("t", key=OTHER_KEY) == first, "keys may be changed meanwhile"
        assert (await at.queue.counts(QUEUE))["waiting"] == 1
        status, answer = await service.ask("t", question="another one")
        assert (status, answer["success"]) == (409, False)
        assert answer["error"].startswith("taskId: stands for another question")
        assert await service.status("t") == (200, {"taskId": "t", "status": "queued"})
        assert (await at.queue.counts(QUEUE))["waiting"] == 1


async def test_of_two_questions_under_one_id_that_come_at_once_one_is_taken(at: House):
    async with backend(at, terms()) as service:
        questions = ["zebra", "giraffe"] * 10
        answers = await asyncio.gather(*(service.ask("t", question=each) for each in questions))
        by_question = {
            each: {status for (status, _), asked in zip(answers, questions, strict=True) if asked == each}
            for each in ("zebra", "giraffe")
        }
        assert sorted(map(sorted, by_question.values())) == [[202], [409]]
        job = await at.queue.find(QUEUE, job_id("t"))
        assert job is not None
        assert by_question[job.data["question"]] == {202}


async def test_masters_that_share_a_server_take_a_question_once(at: House, tmp_path: Path):
    async with (
        house(tmp_path / "second", at.server) as other,
        backend(at, terms()) as one,
        backend(other, terms()) as two,
    ):
        answers = await asyncio.gather(*(service.ask("t") for service in [one, two] * 5))
        assert {status for status, _ in answers} == {202}
        assert (await two.ask("t", question="another one"))[0] == 409
        assert (await one.ask("t", question="another one"))[0] == 409
        assert (await at.queue.counts(QUEUE))["waiting"] == 1
        assert (await two.status("t"))[1]["status"] == "queued"


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x", KEY[:-1]])
async def test_without_a_key_nobody_asks(at: House, key: str | None):
    async with backend(at, terms()) as service:
        status, answer = await service.ask("t", key=key)
        assert (status, answer["success"]) == (401, False)
        assert "X-API-Key" in answer["error"]
        assert (await service.status("t", key=key or "x"))[0] == 401
        assert (await at.queue.counts(QUEUE))["waiting"] == 0
        async with service.session.get(f"{service.url}/nothing") as answered:
            assert answered.status == 401


@pytest.mark.parametrize(
    ("data", "headers", "status", "error"),
    [
        (b"{", {}, 400, "the body is no JSON object"),
        (b"[" * 200_000, {}, 400, "the body is no JSON object"),
        (b'{"taskId": ' + b"[" * 200_000, {}, 400, "the body is no JSON object"),
        (b'{"taskId": "t"}', {}, 400, "question: is not a text"),
        (
            b'{"taskId": "t", "question": "q", "callbackUrl": "http://evil.example/"}',
            {},
            400,
            "callbackUrl: leads",
        ),
        (b"taskId=t", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
        (b"x" * (1024 * 1024 + 1), {}, 413, "send 1 MiB at most"),
    ],
)
async def test_what_cannot_be_taken_is_told_in_one_line(
    at: House, data: bytes, headers: dict[str, str], status: int, error: str
):
    async with backend(at, terms()) as service:
        found, answer = await raw(service, data, **headers)
        assert (found, answer["success"]) == (status, False)
        assert error in str(answer["error"])
        assert "\n" not in str(answer["error"])


async def test_other_paths_and_methods_are_told_what_there_is(at: House):
    async with backend(at, terms()) as service:
        headers = {"X-API-Key": KEY}
        async with service.session.get(f"{service.url}/x", headers=headers) as answer:
            assert answer.status == 404
            assert "POST /api/process" in (await answer.json())["error"]
        async with service.session.delete(f"{service.url}/api/process", headers=headers) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await service.status("unknown"))[0] == 404
        assert (await service.status("%2e%2e%2fx"))[0] == 404


async def test_a_caller_that_asks_too_often_is_told_when_to_come_again(at: House):
    now = 1000.0
    async with backend(at, terms(requests_per_minute=2), clock=lambda: now) as service:
        assert [(await service.ask("t"))[0] for _ in range(3)] == [202, 202, 429]
        assert (await service.ask("t", key=OTHER_KEY))[0] == 202, "another caller's limit is another"
        async with service.session.get(f"{service.url}/api/process/t", headers={"X-API-Key": KEY}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
        assert (await service.health())["status"] == "OK"
        now += 30
        assert (await service.ask("t"))[0] == 202


async def test_a_megabyte_is_answered(at: House):
    its = terms()
    question = QUESTION + "x" * 1_000_000
    async with backend(at, its) as service, llm_worker(at, its):
        assert (await service.ask("t", question=question))[0] == 202
        assert (await service.wait_end("t"))["status"] == "completed"
        assert (await service.ask("t", question=question))[0] == 202
        assert (await service.ask("t", question=question + "x"))[0] == 409


async def test_health_is_in_the_shape_of_the_node_service(at: House):
    its = terms(environment="staging")
    async with backend(at, its) as service:
        await service.ask("t")
        health = await service.health()
        assert health.keys() == {"status", "timestamp", "environment", "queue"}
        assert (health["status"], health["environment"]) == ("OK", "staging")
        assert health["timestamp"].endswith("Z")
        assert len(health["timestamp"]) == len("2025-11-04T12:00:00.000Z")
        assert health["queue"] == {"waiting": 1, "active": 0, "completed": 0, "failed": 0, "delayed": 0}
        async with llm_worker(at, its):
            await service.wait_end("t")
        assert (await service.health())["queue"]["completed"] == 1


async def test_while_the_server_is_away_questions_are_taken_and_asked_after(at: House):
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with backend(at, its) as service, receiver(at, port) as asking:
        async with llm_worker(at, its):
            await service.ask("before")
            before = await service.wait_end("before")
        await service.ask("waiting")
        with stopped(at.server):
            assert (await service.ask("during", callbackUrl=asking.url))[0] == 202
            assert (await service.ask("during", callbackUrl=asking.url))[0] == 202
            assert (await service.ask("during"))[0] == 409
            assert (await service.ask("before"))[0] == 202
            assert (await service.ask("before", question="another one"))[0] == 409
            assert (await service.ask("waiting", question="another one"))[0] == 409
            assert (await service.status("during")) == (200, {"taskId": "during", "status": "queued"})
            assert (await service.status("before")) == (200, before)
            assert (await service.status("waiting"))[1]["status"] == "queued"
            assert (await service.status("unknown"))[0] == 503
            health = await service.health()
            assert (health["status"], health["queue"]["completed"]) == ("degraded", 1)
            assert health["queue"]["waiting"] == 2
            assert await at.outbox.count() == 1
        async with llm_worker(at, its):
            ended = await service.wait_end("during")
            await service.wait_end("waiting")
            await await_until(asking.received)
        assert asking.told() == [ended]
        assert (await service.health())["queue"] == {
            "waiting": 0, "active": 0, "completed": 3, "failed": 0, "delayed": 0
        }  # fmt: skip


async def test_what_was_taken_outlives_the_service(at: House, tmp_path: Path):
    its = terms()
    async with backend(at, its) as service:
        with stopped(at.server):
            await service.ask("t")
    async with house(tmp_path, at.server) as again, backend(again, its) as service, llm_worker(again, its):
        assert (await service.ask("t", question="another one"))[0] == 409
        ended = await service.wait_end("t")
        assert ended["status"] == "completed"
        assert (await service.ask("t"))[0] == 202
        await at.queue.remove(QUEUE, job_id("t"))
        assert await service.status("t") == (200, ended), "the engine has let it go, the ledger not"
        assert (await service.ask("t"))[0] == 202
        assert (await service.ask("t", question="another one"))[0] == 409
        assert await at.queue.find(QUEUE, job_id("t")) is None, "it is not answered again"


async def test_a_question_that_nobody_can_store_is_not_taken(at: House):
    async with backend(at, terms()) as service:
        await service.ask("first")
        with stopped(at.server):
            await service.ask("second")
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            size = (at.state_dir / "jobs.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            try:
                status, answer = await service.ask("third", question="x" * 100_000)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert (status, answer["success"]) == (503, False)
            assert "cannot be stored" in answer["error"]
            assert (await service.ask("third", question="x" * 100_000))[0] == 202


async def test_a_task_that_the_server_has_lost_is_taken_again(at: House):
    async with backend(at, terms()) as service:
        await service.ask("t")
        await at.queue.remove(QUEUE, job_id("t"))
        assert (await service.status("t"))[0] == 404
        assert (await service.ask("t", question="another one"))[0] == 202
        assert (await service.ask("t"))[0] == 409


async def test_the_question_is_in_no_log_of_the_service(at: House, caplog, capfd):
    caplog.set_level(0)
    async with backend(at, terms()) as service:
        await service.ask("t")
        await service.ask("t", question=f"{QUESTION} again")
        await raw(service, json.dumps({"taskId": "/", "question": QUESTION}).encode())
        await raw(service, QUESTION.encode())
        with stopped(at.server):
            await service.ask("u")
    said = capfd.readouterr()
    assert "zebra" not in caplog.text + said.out + said.err


async def test_a_service_that_nobody_could_use_does_not_start(at: House):
    database = Database(at.state_dir)
    try:
        with pytest.raises(ConfigError, match="set ALLOWED_API_KEY"):
            BackendServer(terms(api_keys=()), at.producer, at.queue, database).bind()
        async with backend(at, terms()) as service:
            taken = terms(port=int(service.url.rpartition(":")[2]))
            with pytest.raises(ListenError, match=r"jobs\.backend\.port: .* is taken by another process"):
                BackendServer(taken, at.producer, at.queue, database).bind()
        with pytest.raises(ListenError, match=r"jobs\.backend\.host"):
            BackendServer(terms(host="no.such.host.invalid"), at.producer, at.queue, database).bind()
    finally:
        database.close()
