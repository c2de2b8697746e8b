"""Turns what handlers return and raise into JSON answers; no answer ever shows a traceback.

Runs in: master.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from brama.errors import BramaError, ConfigError
from brama.log import get_logger
from brama.redaction import redact
from supervisor.control.wire import ErrorAnswer

#: Longer than any honest request takes: replaying 1000 dead letters is one transaction.
HANDLER_TIMEOUT_S = 30.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")

_log = get_logger("control")
_encode = msgspec.json.Encoder().encode


def json_answer(body: Any, status: int = 200) -> web.Response:
    """Return ``body`` as JSON."""
    return json_bytes(_encode(body), status)


def json_bytes(body: bytes, status: int = 200) -> web.Response:
    """Return JSON that is encoded already."""
    # What the API says holds for one moment, and a body with an update in it is for nobody's cache.
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body + b"\n", status=status, content_type="application/json", headers=headers)


def error_answer(status: int, text: str, problems: Sequence[str] = ()) -> web.Response:
    """Return an error as JSON: one sentence, and what is wrong with the configuration, if it is."""
    answer = json_answer(ErrorAnswer(text, list(problems)), status)
    if status == web.HTTPUnauthorized.status_code:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="brama"'
    return answer


class RefusedError(Exception):
    """A handler's way to answer with an error status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_body(request: web.Request, kind: type[T]) -> T:
    """Return the request's JSON as ``kind``. Raises RefusedError saying what is wrong with it."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        raise RefusedError(400, f"the request's body is wrong: {error}") from error


def number_of(request: web.Request, key: str, default: int | None) -> int | None:
    """Return a number of the request's query. Raises RefusedError if it is none."""
    text = request.query.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RefusedError(400, f'{key}: "{text[:40]}" is not a number')
    return int(text)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure in JSON, within HANDLER_TIMEOUT_S."""
    try:
        async with asyncio.timeout(HANDLER_TIMEOUT_S):
            return await handler(request)
    except RefusedError as refused:
        return error_answer(refused.status, str(refused))
    except ConfigError as error:
        problems = redact(str(error)).splitlines()
        return error_answer(422, "the configuration is wrong; nothing was changed", problems)
    except BramaError as error:
        return error_answer(409, redact(str(error)))
    except web.HTTPException as error:
        return error_answer(error.status, f"{request.method} {request.path}: {error.reason}")
    except TimeoutError:
        return error_answer(503, f"the master took longer than {HANDLER_TIMEOUT_S:g} s")
    except ConnectionError:
        raise
    except Exception:
        _log.exception("control.request_failed", method=request.method, path=request.path)
        return error_answer(500, "the master failed at this; master.log says how")
