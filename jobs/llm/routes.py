"""The routes of the LLM backend.

Runs in: master.
"""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from brama.clock import Clock, utc_s
from jobs.llm.answers import Handler, json_answer, refusal
from jobs.llm.desk import Desk
from jobs.llm.policy.api_keys import ApiKeys
from jobs.llm.policy.pace import Pace
from jobs.llm.policy.status import Status, TaskView
from jobs.llm.policy.task_request import BadRequest, is_task_id, read_request
from jobs.llm.terms import BackendTerms

#: Of a request's body; larger ones are answered 413.
MAX_BODY_BYTES = 1024 * 1024
_CALLER: web.RequestKey[str] = web.RequestKey("caller", str)


class Routes:
    """Answers for one service.

    Args:
        terms: who may ask, how often, and whom they may have called back.
        desk: where tasks go.
        clock: monotonic seconds.
    """

    def __init__(self, terms: BackendTerms, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._keys = ApiKeys(terms.api_keys)
        self._pace = Pace(terms.requests_per_minute)
        self._per_minute = terms.requests_per_minute
        self._hosts = terms.allowed_hosts
        self._environment = terms.environment
        self._clock = clock

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/process", self.submit),
            web.get("/api/process/{task}", self.find),
            web.get("/health", self.health),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let only callers with a key at anything but ``/health``, and not too often."""
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical == "/health":
            return await handler(request)
        caller = self._keys.identify(request.headers.get("X-API-Key"))
        if caller is None:
            return refusal(401, "X-API-Key: is missing or wrong; send one of jobs.backend.api_keys")
        if wait_s := self._pace.take(caller, self._clock()):
            limit = f"{self._per_minute} requests in a minute"
            return refusal(429, f"more than {limit}; wait as Retry-After says", retry_after_s=wait_s)
        request[_CALLER] = caller
        return await handler(request)

    async def submit(self, request: web.Request) -> web.Response:
        """Take a task over."""
        if request.content_type != "application/json":
            return refusal(415, "Content-Type: is not application/json")
        wish = read_request(await request.read(), self._hosts)
        if isinstance(wish, BadRequest):
            return refusal(400, wish.reason)
        if not await self._desk.submit(wish, request[_CALLER]):
            return refusal(
                409, "taskId: stands for another question, callbackUrl or organisation; send a new taskId"
            )
        return json_answer({"success": True, "taskId": wish.task_id, "message": "Task added to queue"}, 202)

    async def find(self, request: web.Request) -> web.Response:
        """Say how a task stands."""
        task_id = request.match_info["task"]
        task = await self._desk.find(task_id) if is_task_id(task_id) else None
        if task is None:
            return refusal(404, "taskId: is not known; tasks are kept for 24 h after their end")
        return json_answer({"taskId": task_id} | _document(task))

    async def health(self, _request: web.Request) -> web.Response:
        """Say how the service does."""
        counts, has_engine = await self._desk.counts()
        moment = datetime.fromtimestamp(utc_s(), UTC).isoformat(timespec="milliseconds")
        document: dict[str, Any] = {
            "status": "OK" if has_engine else "degraded",
            "timestamp": moment.replace("+00:00", "Z"),
            "environment": self._environment,
            "queue": counts,
        }
        if not has_engine:
            document["reason"] = "the queue's server is away; tasks are kept on disk until it is back"
        return json_answer(document)


def _document(task: TaskView) -> dict[str, Any]:
    match task.status:
        case Status.COMPLETED:
            return {"status": task.status, "result": task.result}
        case Status.FAILED:
            return {"status": task.status, "error": task.error}
        case _:
            return {"status": task.status}
