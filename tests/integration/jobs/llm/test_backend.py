"""Questions that come over HTTP, are answered by a real worker and called back."""

import hashlib
import hmac

from tests.integration.jobs.llm.stage import (
    KEY,
    SECRET,
    backend,
    llm_worker,
    receiver,
    terms,
)
from tests.integration.jobs.processes import House
from tests.ports import free_port
from tests.waiting import await_until


async def test_a_question_is_answered_and_called_back(at: House):
    its = terms(callback_hosts=(f"127.0.0.1:{(port := free_port())}",))
    async with backend(at, its) as service, llm_worker(at, its), receiver(at, port) as asking:
        status, answer = await service.ask("task-1", callbackUrl=asking.url)
        assert (status, answer) == (
            202,
            {"success": True, "taskId": "task-1", "message": "Task added to queue"},
        )
        ended = await service.wait_end("task-1")
        assert ended["status"] == "completed"
        assert ended["result"]["mock"] is True
        await await_until(asking.received)
        (request,) = asking.received()
        assert request["path"] == "/api/callbacks/1?a=%20b"
        assert asking.told() == [ended]
        headers = request["headers"]
        assert headers["X-API-Key"] == KEY
        signed = f"{headers['X-Brama-Timestamp']}.{request['body']}".encode()
        expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["X-Brama-Signature"] == f"v1={expected}"
