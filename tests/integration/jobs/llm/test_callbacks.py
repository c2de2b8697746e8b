"""Callbacks by a real worker to real backends, which are killed, busy, or do not want them."""

import asyncio
import hashlib
import hmac

from brama.clock import utc_s
from jobs.llm.callbacks import announce, send_callback
from jobs.llm.ledger import TaskLedger
from jobs.llm.mourner import Mourner
from jobs.llm.payloads import CallbackPayload, TaskPayload
from jobs.llm.policy.status import Status, TaskView
from jobs.llm.tasks import process_task
from jobs.policy.ids import job_id_for
from jobs.policy.verdict import Cause
from jobs.storage.database import Database
from jobs.storage.dead_letters import DeadLetter
from tests.integration.jobs.llm.model import Model, serving
from tests.integration.jobs.llm.stage import (
    KEY,
    QUESTION,
    SECRET,
    backend,
    llm_worker,
    receiver,
    terms,
)
from tests.integration.jobs.processes import House
from tests.ports import free_port
from tests.waiting import await_until

CALLBACKS = send_callback.queue


async def only_callback(at: House, state: str) -> str:
    """Return the id of the only callback once it is in this state."""

    async def found() -> str | None:
        jobs = await at.queue.failed(CALLBACKS, 0, 10)
        return jobs[0].job_id if len(jobs) == 1 else None

    async def is_there() -> bool:
        return (await at.queue.counts(CALLBACKS))[state] == 1

    await await_until(is_there, 60, f"a callback to be {state}")
    return (await found() or "") if state == "failed" else ""


async def test_an_answer_is_called_back_signed_and_past_every_proxy(at: House):
    its = terms(callback_hosts=(f"http://127.0.0.1:{(port := free_port())}/api",))
    nowhere = f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), nowhere)
    async with backend(at, its) as service, llm_worker(at, its, **proxies), receiver(at, port) as asking:
        await service.ask("task-1", callbackUrl=asking.url)
        ended = await service.wait_end("task-1")
        assert (ended["status"], ended["result"]["mock"]) == ("completed", True)
        await await_until(asking.received)
        (request,) = asking.received()
        assert request["path"] == "/api/callbacks/1?a=%20b"
        assert asking.told() == [ended]
        headers = request["headers"]
        assert headers["Content-Type"] == "application/json"
        assert headers["X-API-Key"] == KEY
        assert abs(int(headers["X-Brama-Timestamp"]) - utc_s()) < 120
        signed = f"{headers['X-Brama-Timestamp']}.{request['body']}".encode()
        expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["X-Brama-Signature"] == f"v1={expected}"


async def test_a_backend_that_is_killed_hears_of_its_task_when_it_is_back(at: House):
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with backend(at, its) as service, llm_worker(at, its), receiver(at, port) as asking:
        await service.ask("first", callbackUrl=asking.url)
        await await_until(asking.received)
        await asking.kill()
        await service.ask("second", callbackUrl=asking.url)
        assert (await service.wait_end("second"))["status"] == "completed", "the task does not wait for it"

        async def failed_once() -> bool:
            return (await at.queue.counts(CALLBACKS))["delayed"] == 1

        await await_until(failed_once)
        await asking.start()
        await await_until(lambda: len(asking.received()) == 2, 40)
        assert [told["taskId"] for told in asking.told()] == ["first", "second"]


async def test_a_backend_that_is_busy_is_asked_again_under_the_same_delivery(at: House):
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with backend(at, its) as service, llm_worker(at, its), receiver(at, port, 429, 503, 200) as asking:
        await service.ask("t", callbackUrl=asking.url)
        await await_until(lambda: len(asking.received()) == 3, 60)
        headers = [request["headers"] for request in asking.received()]
        assert len({each["X-Brama-Delivery"] for each in headers}) == 1
        assert len({request["body"] for request in asking.received()}) == 1


async def test_what_a_backend_does_not_want_is_a_dead_letter_and_its_task_is_not(at: House):
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with backend(at, its) as service, llm_worker(at, its), receiver(at, port, 410) as asking:
        await service.ask("t", callbackUrl=asking.url)
        await only_callback(at, "failed")
        letter = await at.only_letter()
        assert (letter.queue, letter.cause) == (CALLBACKS, Cause.PERMANENT)
        assert letter.error == "PermanentError: the backend answered 410"
        assert len(asking.received()) == 1
        assert (await service.status("t"))[1]["status"] == "completed"


async def test_a_redirect_is_not_followed(at: House):
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with backend(at, its) as service, llm_worker(at, its), receiver(at, port, 307, 200) as asking:
        await service.ask("t", callbackUrl=asking.url)
        await await_until(lambda: len(asking.received()) == 2, 40)
        assert [request["path"] for request in asking.received()] == ["/api/callbacks/1?a=%20b"] * 2


async def test_the_list_is_asked_again_when_a_callback_is_sent(at: House):
    """Such as when the list was made shorter, or the job came past the service."""
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with llm_worker(at, terms(callback_hosts=("backend:5000",))), receiver(at, port) as asking:
        callback = CallbackPayload(task_id="t", callback_url=asking.url, status="failed", error="x")
        await at.producer.enqueue(send_callback, callback)
        await only_callback(at, "failed")
        letter = await at.only_letter()
        assert letter.cause is Cause.PERMANENT
        assert f"leads to 127.0.0.1:{port}, which may not be called back" in letter.error
        assert asking.received() == []
    assert its.allowed_hosts


async def test_a_task_that_fails_is_called_back_too(at: House):
    port = free_port()
    async with serving(Model({"2031?": [(401, {})]})) as model:
        its = terms(
            callback_hosts=(f"127.0.0.1:{port}",), openai_api_key="sk-not-valid", openai_base_url=model.url
        )
        async with backend(at, its) as service, llm_worker(at, its), receiver(at, port) as asking:
            await service.ask("t", callbackUrl=asking.url)
            ended = await service.wait_end("t")
            error = "the model's service answered 401; check OPENAI_API_KEY"
            assert ended == {"taskId": "t", "status": "failed", "error": error}
            await await_until(asking.received)
            assert asking.told() == [ended]
            assert (await service.ask("t", callbackUrl=asking.url))[0] == 202
            assert (await at.queue.counts(process_task.queue))["failed"] == 1, "it is not begun again"


async def test_the_death_of_a_task_that_no_worker_of_ours_saw_is_called_back_once(at: House):
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with backend(at, its) as service, receiver(at, port) as asking:
        await service.ask("t", callbackUrl=asking.url)
        job_id = job_id_for(process_task.queue, process_task.name, "t")
        job = await at.queue.find(process_task.queue, job_id)
        assert job is not None
        await at.letters.record(
            DeadLetter(
                queue=job.queue,
                job_id=job_id,
                attempt=5,
                name=job.name,
                cause=Cause.FOUND_FAILED,
                error="job stalled more than allowable limit",
                stack="",
                payload=job.data,
                created_utc=1.0,
                died_utc=utc_s(),
            )
        )

        async def told() -> bool:
            return (await at.queue.counts(CALLBACKS))["waiting"] == 1

        await await_until(told)
        await at.queue.remove(process_task.queue, job_id)
        failed = {"taskId": "t", "status": "failed", "error": "job stalled more than allowable limit"}
        assert await service.status("t") == (200, failed)
        database = Database(at.state_dir)
        assert await Mourner(at.producer, TaskLedger(database)).look() == 0
        database.close()
        async with llm_worker(at, its):
            await await_until(asking.received)
        assert asking.told() == [failed]


async def test_the_same_end_is_called_back_once(at: House):
    task = TaskPayload(task_id="t", question=QUESTION, callback_url="http://backend:5000/")
    done, failed = TaskView(Status.COMPLETED, "", {}), TaskView(Status.FAILED, "", error="x")
    await asyncio.gather(*(announce(at.producer, task, done) for _ in range(5)))
    assert (await at.queue.counts(CALLBACKS))["waiting"] == 1
    await announce(at.producer, task, failed)
    assert (await at.queue.counts(CALLBACKS))["waiting"] == 2, "as after a retry of a task that failed"
    await announce(at.producer, task.model_copy(update={"task_id": "u", "callback_url": None}), done)
    assert (await at.queue.counts(CALLBACKS))["waiting"] == 2
