"""What the control API's routes have in common: errors, bodies, who may ask."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from sandbox.control.origin import refusal
from sandbox.state.bot import Bot, encode
from sandbox.state.world import World

T = TypeVar("T")
Route = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: HTTP method, path under /control, what serves it.
Endpoint = tuple[str, str, Route]

#: Longest wait of a long-polling GET, in seconds.
MAX_WAIT_S = 120.0


class ControlError(Exception):
    """A control request that cannot be served; the text is one line for whoever wrote it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def json_response(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(status=status, body=encode(value), content_type="application/json")


async def read_body(request: web.Request, kind: type[T]) -> T:
    """Return the body as ``kind``.

    Raises:
        ControlError: it is no JSON, or not of that kind.
    """
    try:
        return msgspec.convert(await request.json() if request.body_exists else {}, kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise ControlError(400, f"{request.path}: {error}") from None


def number_in(request: web.Request, name: str) -> int:
    """Return a number from the path.

    Raises:
        ControlError: it is none.
    """
    text = request.match_info[name]
    try:
        return int(text)
    except ValueError:
        raise ControlError(400, f"{request.path}: {name} {text!r} is not a number") from None


def bot_of(world: World, request: web.Request) -> Bot:
    """Return the bot that the path names.

    Raises:
        ControlError: it names none.
    """
    bot_id = number_in(request, "bot")
    if bot_id < 1:
        raise ControlError(400, f"{request.path}: a bot id is the positive number its token starts with")
    return world.bot(bot_id)


def asked(request: web.Request, name: str, default: float) -> float:
    """Return a number from the query.

    Raises:
        ControlError: it is none.
    """
    text = request.query.get(name)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise ControlError(400, f"{request.path}: {name} {text!r} is not a number") from None


def wait_of(request: web.Request) -> float:
    """Return ``wait_s`` from the query, 0 to ``MAX_WAIT_S`` seconds."""
    return min(max(asked(request, "wait_s", 0), 0), MAX_WAIT_S)


def guarded(route: Route, listening_host: str) -> Route:
    """Return a route that refuses strangers and answers errors as JSON."""

    async def serve(request: web.Request) -> web.StreamResponse:
        refused = refusal(request, listening_host)
        if refused is not None:
            return json_response({"error": refused}, 403)
        try:
            return await route(request)
        except ControlError as error:
            return json_response({"error": str(error)}, error.status)

    return serve
