"""Writes answers of the LLM backend: JSON, also for whatever goes wrong.

Runs in: master.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from brama.errors import StateError
from brama.log import get_logger
from jobs.errors import EngineUnavailableError, NotAcceptedError

log = get_logger(__name__)

#: For a whole request, its body included.
REQUEST_S = 30.0
#: After which time a caller may come again who could not be served.
_AWAY_S = 5.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_answer(document: Any, status: int = 200) -> web.Response:
    """Return ``document`` as JSON."""
    text = json.dumps(document, ensure_ascii=False)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)


def refusal(status: int, error: str, *, retry_after_s: float | None = None) -> web.Response:
    """Return an error: one line that says what is wrong and what is allowed."""
    answer = json_answer({"success": False, "error": error}, status)
    if retry_after_s is not None:
        answer.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    return answer


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure in JSON, within REQUEST_S; nothing of a request's body is logged."""
    try:
        async with asyncio.timeout(REQUEST_S):
            return await handler(request)
    except NotAcceptedError as error:
        log.error("llm.task_not_accepted", error=str(error))
        return refusal(503, "the task cannot be stored now; send it again", retry_after_s=_AWAY_S)
    except (EngineUnavailableError, StateError) as error:
        log.warning("llm.task_not_looked_up", error=str(error))
        return refusal(503, "the task's status cannot be read now; ask again", retry_after_s=_AWAY_S)
    except web.HTTPRequestEntityTooLarge:
        return refusal(413, "the body is too large; send 1 MiB at most")
    except web.HTTPMethodNotAllowed as error:
        answer = refusal(405, f"allowed here: {', '.join(sorted(error.allowed_methods))}")
        answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except web.HTTPException as error:
        return refusal(error.status, "there are POST /api/process, GET /api/process/{taskId} and GET /health")
    except TimeoutError:
        return refusal(408, f"the request took longer than {REQUEST_S:g} s; send it again")
    except ConnectionError:
        raise
    except Exception as error:  # its text may hold the question
        log.error("llm.request_failed", route=_route_of(request), error=type(error).__name__)
        return refusal(500, "the service failed at this request; its log says where")


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical
