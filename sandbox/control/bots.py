"""Control routes about bots as such: known, renamed, revoked."""

from aiohttp import web

from sandbox.api.http import TOKEN
from sandbox.control.http import ControlError, Endpoint, bot_of, json_response, read_body
from sandbox.control.payloads import NewBot
from sandbox.control.views import bot_view
from sandbox.state.world import World


class BotRoutes:
    """Serves ``/control/bots``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def endpoints(self) -> list[Endpoint]:
        """Return what is served where."""
        return [
            ("POST", "/bots", self.register),
            ("GET", "/bots", self.bots),
            ("POST", "/bots/{bot}/revoke", self.revoke),
            ("POST", "/bots/{bot}/restore", self.restore),
        ]

    async def register(self, request: web.Request) -> web.Response:
        """Make a bot known, rename it, or move its update ids."""
        new = await read_body(request, NewBot)
        match = TOKEN.fullmatch(new.token)
        if match is None:
            raise ControlError(400, "token: digits, a colon and at least 20 of [A-Za-z0-9_-] make a token")
        bot = self._world.bot(int(match[1]))
        bot.tokens.add(new.token)
        bot.username = new.username or bot.username
        bot.first_name = new.first_name or bot.first_name
        if new.first_update_id is not None:
            bot.queue.next_id = new.first_update_id
        return json_response(bot_view(bot))

    async def bots(self, request: web.Request) -> web.Response:
        """List all bots."""
        return json_response([bot_view(bot) for bot in self._world.bots.values()])

    async def revoke(self, request: web.Request) -> web.Response:
        """Refuse the tokens seen so far; when none was seen, every token."""
        bot = bot_of(self._world, request)
        bot.revoked_tokens |= bot.tokens
        bot.revoked = not bot.tokens
        return json_response(bot_view(bot))

    async def restore(self, request: web.Request) -> web.Response:
        """Accept every token again."""
        bot = bot_of(self._world, request)
        bot.revoked_tokens.clear()
        bot.revoked = False
        return json_response(bot_view(bot))
