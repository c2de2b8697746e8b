"""Control routes that put updates into queues."""

from typing import Any

from aiohttp import web

from brama.clock import monotonic_s
from sandbox.control.http import ControlError, Endpoint, asked, bot_of, json_response, read_body
from sandbox.control.payloads import NewMessages, NewMessagesFor, Press
from sandbox.state.bot import Bot
from sandbox.state.people import press, write
from sandbox.state.world import World

#: Most messages one request may inject for a bot.
MAX_COUNT = 100_000


class InjectingRoutes:
    """Serves what people do, and updates as they are."""

    def __init__(self, world: World) -> None:
        self._world = world

    def endpoints(self) -> list[Endpoint]:
        """Return what is served where."""
        return [
            ("POST", "/bots/{bot}/messages", self.message),
            ("POST", "/messages", self.messages),
            ("POST", "/bots/{bot}/press", self.press),
            ("POST", "/bots/{bot}/updates", self.inject),
            ("POST", "/bots/{bot}/raw", self.inject_raw),
        ]

    async def message(self, request: web.Request) -> web.Response:
        """A person writes to a bot."""
        bot = bot_of(self._world, request)
        return json_response(self._write(bot, await read_body(request, NewMessages)))

    async def messages(self, request: web.Request) -> web.Response:
        """People write to many bots; nothing is written if any element is wrong."""
        batch = await read_body(request, list[NewMessagesFor])
        for new in batch:
            _check(new)
            if new.bot < 1:
                raise ControlError(400, "bot: every element names the positive id of its bot")
        return json_response([self._write(self._world.bot(new.bot), new) for new in batch])

    def _write(self, bot: Bot, new: NewMessages) -> dict[str, list[int]]:
        _check(new)
        update_ids: list[int] = []
        message_ids: list[int] = []
        numbered = "{n}" in new.text
        for number in range(1, new.count + 1):
            text = new.text.replace("{n}", str(number)) if numbered else new.text
            written = write(self._world, bot, new.chat_id, text, new.user_id)
            message_ids.append(written.message_id)
            if written.update_id is not None:
                update_ids.append(written.update_id)
        return {"update_ids": update_ids, "message_ids": message_ids}

    async def press(self, request: web.Request) -> web.Response:
        """A person presses an inline button."""
        bot = bot_of(self._world, request)
        new = await read_body(request, Press)
        pressed = press(self._world, bot, new.chat_id, new.message_id, new.data, new.user_id)
        update_ids = [] if pressed.update_id is None else [pressed.update_id]
        return json_response({"update_ids": update_ids, "callback_query_id": pressed.callback_query_id})

    async def inject(self, request: web.Request) -> web.Response:
        """Queue update objects as they are."""
        bot = bot_of(self._world, request)
        now, ttl_s = monotonic_s(), self._world.limits.update_ttl_s
        pushed = [bot.push(update, now, ttl_s) for update in await read_body(request, list[dict[str, Any]])]
        return json_response({"update_ids": [update_id for update_id in pushed if update_id is not None]})

    async def inject_raw(self, request: web.Request) -> web.Response:
        """Queue bytes as one element of the result array."""
        bot = bot_of(self._world, request)
        body = await request.read()
        update_id = int(asked(request, "update_id", bot.queue.next_id))
        entry = bot.push_raw(update_id, body, monotonic_s() + self._world.limits.update_ttl_s)
        return json_response({"update_ids": [entry.update_id]})


def _check(new: NewMessages) -> None:
    if not 1 <= new.count <= MAX_COUNT:
        raise ControlError(400, f"count {new.count} is not 1 to {MAX_COUNT}")
    if new.chat_id == 0:
        raise ControlError(400, "chat_id 0 is no chat")
