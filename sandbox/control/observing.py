"""Control routes that tell what bots did."""

from aiohttp import web

from brama.clock import monotonic_s
from sandbox.control.http import Endpoint, asked, bot_of, json_response, number_in, wait_of
from sandbox.control.views import bot_state, chat_view, updates_view, world_state
from sandbox.state.sent import SentLog
from sandbox.state.world import World


class ObservingRoutes:
    """Serves the calls, the queues and the chats of bots."""

    def __init__(self, world: World) -> None:
        self._world = world

    def endpoints(self) -> list[Endpoint]:
        """Return what is served where."""
        return [
            ("GET", "/bots/{bot}/updates", self.updates),
            ("GET", "/bots/{bot}/sent", self.sent),
            ("GET", "/sent", self.all_sent),
            ("GET", "/bots/{bot}/state", self.state),
            ("GET", "/state", self.all_state),
            ("GET", "/bots/{bot}/chats/{chat}", self.chat),
        ]

    async def updates(self, request: web.Request) -> web.Response:
        """Tell what became of each update."""
        return json_response(updates_view(bot_of(self._world, request)))

    async def sent(self, request: web.Request) -> web.Response:
        """Return a bot's calls, waiting for them."""
        return await _sent(request, bot_of(self._world, request).sent)

    async def all_sent(self, request: web.Request) -> web.Response:
        """Return all bots' calls, waiting for them."""
        return await _sent(request, self._world.sent)

    async def state(self, request: web.Request) -> web.Response:
        """Return the state of a bot's intake."""
        return json_response(bot_state(bot_of(self._world, request)))

    async def all_state(self, request: web.Request) -> web.Response:
        """Return the state of all bots' intake."""
        return json_response(world_state(self._world))

    async def chat(self, request: web.Request) -> web.Response:
        """Return a chat once its version is not ``after`` any more; it is lower again after a reset."""
        bot = bot_of(self._world, request)
        chat = bot.chat(number_in(request, "chat"))
        after, deadline_at = asked(request, "after", -1), monotonic_s() + wait_of(request)
        while chat.version == after and await chat.changed.wait_until(deadline_at):
            pass
        return json_response(chat_view(bot, chat))


async def _sent(request: web.Request, log: SentLog) -> web.Response:
    found = await log.wait_for(
        int(asked(request, "after", 0)),
        int(asked(request, "count", 1)),
        request.query.get("method"),
        wait_of(request),
    )
    return json_response([entry.as_json(index) for index, entry in found])
