"""The Bot API over HTTP: ``/bot<token>/<method>``."""

import re
from collections.abc import Callable
from functools import partial

from aiohttp import web

from brama.clock import monotonic_s
from sandbox.api.dispatch import Dispatcher
from sandbox.api.errors import ApiError, not_found, too_many_requests, unauthorized
from sandbox.api.faulting import answer_instead, spoil
from sandbox.api.methods import CANONICAL
from sandbox.api.presence import Presence
from sandbox.api.request import Call, read_params
from sandbox.policy.faults import ALWAYS_APPLIED
from sandbox.state.bot import Bot, encode
from sandbox.state.world import World

#: Told one line about each refused call: bot id, method, Telegram's words; nothing of what was in it.
Report = Callable[[str], None]

TOKEN = re.compile(r"([1-9]\d{0,15}):[A-Za-z0-9_-]{20,}", re.ASCII)


class BotApi:
    """Serves every bot of a world."""

    def __init__(self, world: World, dispatcher: Dispatcher, report: Report | None) -> None:
        self._world = world
        self._dispatcher = dispatcher
        self._report = report
        self._presence = Presence()

    def add_routes(self, app: web.Application) -> None:
        """Put the Bot API into an application."""
        app.router.add_route("*", "/bot{token}/{method}", self.serve)
        app.router.add_get("/file/bot{token}/{path:.+}", self.serve_file)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or let happen to it what a fault says."""
        bot: Bot | None = None
        method = request.match_info["method"].lower()
        try:
            bot = self._admit(request.match_info["token"])
            fault = self._world.faults.fire(bot.bot_id, method)
            if fault is None:
                return _json(200, await self._answer(bot, method, request))
            if fault.applied or fault.kind in ALWAYS_APPLIED:
                return await spoil(request, fault, self._presence, await self._answered(bot, method, request))
            instead = await answer_instead(request, fault, self._presence)
            return instead if instead is not None else _json(200, await self._answer(bot, method, request))
        except ApiError as error:
            self._tell(bot, method, error)
            return error_response(error)
        except ConnectionError:
            # Nobody reads this.
            return web.Response()

    def _tell(self, bot: Bot | None, method: str, error: ApiError) -> None:
        if self._report is not None:
            who = "unknown bot" if bot is None else f"bot {bot.bot_id}"
            self._report(
                f"{who}: {CANONICAL.get(method, 'unknown method')}: {error.code} {error.description}"
            )

    async def serve_file(self, request: web.Request) -> web.StreamResponse:
        """Serve an uploaded file at the path that getFile told."""
        try:
            self._admit(request.match_info["token"])
            stored = self._world.files.at_path(request.match_info["path"])
            if stored is None:
                raise not_found()
        except ApiError as error:
            return error_response(error)
        return web.Response(body=stored.content, content_type="application/octet-stream")

    def _admit(self, token: str) -> Bot:
        match = TOKEN.fullmatch(token)
        if match is None:
            raise not_found()
        bot = self._world.bot(int(match[1]))
        if not bot.accepts(token):
            raise unauthorized()
        if token not in bot.tokens:
            retry_after_s = self._world.new_tokens.admit(self._world.limits.new_tokens, monotonic_s())
            if retry_after_s:
                raise too_many_requests(retry_after_s)
            bot.tokens.add(token)
        return bot

    async def _answer(self, bot: Bot, method: str, request: web.Request) -> bytes:
        canonical = CANONICAL.get(method)
        if canonical is None:
            raise not_found()
        bot.calls[canonical] += 1
        params, files = await read_params(request)
        wait = partial(self._presence.wait, request)
        return await self._dispatcher.call(Call(bot, canonical, params, files), wait)

    async def _answered(self, bot: Bot, method: str, request: web.Request) -> tuple[int, bytes]:
        try:
            return 200, await self._answer(bot, method, request)
        except ApiError as error:
            return error.code, encode(error.as_json())


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


def error_response(error: ApiError) -> web.Response:
    """Return an error as Telegram answers it."""
    response = _json(error.code, encode(error.as_json()))
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response
