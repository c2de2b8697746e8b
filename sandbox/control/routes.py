"""The control API: injects updates, scripts faults, tells what bots sent."""

from typing import Any, TypeVar

import msgspec
from aiohttp import web

from brama.clock import monotonic_s
from sandbox.api.http import TOKEN
from sandbox.control.http import (
    ControlError,
    Route,
    asked,
    guarded,
    json_response,
    number_in,
    read_body,
    wait_of,
)
from sandbox.control.payloads import (
    Block,
    NewBot,
    NewFault,
    NewLimits,
    NewMessages,
    NewMessagesFor,
    Press,
)
from sandbox.control.views import (
    bot_state,
    bot_view,
    chat_view,
    fault_view,
    updates_view,
    world_state,
)
from sandbox.policy.admission import AdmissionLimits
from sandbox.policy.faults import Fault
from sandbox.state.bot import Bot
from sandbox.state.people import press, write
from sandbox.state.sent import SentLog
from sandbox.state.world import Limits, World

T = TypeVar("T")

#: Most messages one request may inject.
MAX_COUNT = 100_000


class Control:
    """Serves ``/control`` of a world."""

    def __init__(self, world: World, listening_host: str) -> None:
        self._world = world
        self._listening_host = listening_host

    def add_routes(self, app: web.Application) -> None:
        """Put the control API into an application."""
        routes: list[tuple[str, str, Route]] = [
            ("POST", "/bots", self.register),
            ("GET", "/bots", self.bots),
            ("POST", "/bots/{bot}/revoke", self.revoke),
            ("POST", "/bots/{bot}/restore", self.restore),
            ("POST", "/bots/{bot}/messages", self.message),
            ("POST", "/messages", self.messages),
            ("POST", "/bots/{bot}/press", self.press),
            ("POST", "/bots/{bot}/updates", self.inject),
            ("GET", "/bots/{bot}/updates", self.updates),
            ("POST", "/bots/{bot}/raw", self.inject_raw),
            ("GET", "/bots/{bot}/sent", self.sent),
            ("GET", "/sent", self.all_sent),
            ("GET", "/bots/{bot}/state", self.state),
            ("GET", "/state", self.all_state),
            ("GET", "/bots/{bot}/chats/{chat}", self.chat),
            ("POST", "/bots/{bot}/chats/{chat}/block", self.block),
            ("POST", "/faults", self.add_fault),
            ("GET", "/faults", self.faults),
            ("DELETE", "/faults", self.clear_faults),
            ("DELETE", "/faults/{fault}", self.remove_fault),
            ("POST", "/limits", self.limit),
            ("POST", "/reset", self.reset),
        ]
        for method, path, route in routes:
            app.router.add_route(method, f"/control{path}", guarded(route, self._listening_host))

    def _bot(self, request: web.Request) -> Bot:
        bot_id = number_in(request, "bot")
        if bot_id < 1:
            raise ControlError(400, f"{request.path}: a bot id is the positive number its token starts with")
        return self._world.bot(bot_id)

    # Bots

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
        bot = self._bot(request)
        bot.revoked_tokens |= bot.tokens
        bot.revoked = not bot.tokens
        return json_response(bot_view(bot))

    async def restore(self, request: web.Request) -> web.Response:
        """Accept every token again."""
        bot = self._bot(request)
        bot.revoked_tokens.clear()
        bot.revoked = False
        return json_response(bot_view(bot))

    # Updates

    def _write(self, bot: Bot, new: NewMessages) -> dict[str, list[int]]:
        if not 1 <= new.count <= MAX_COUNT:
            raise ControlError(400, f"count {new.count} is not 1 to {MAX_COUNT}")
        if new.chat_id == 0:
            raise ControlError(400, "chat_id 0 is no chat")
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

    async def message(self, request: web.Request) -> web.Response:
        """A person writes to a bot."""
        bot = self._bot(request)
        return json_response(self._write(bot, await read_body(request, NewMessages)))

    async def messages(self, request: web.Request) -> web.Response:
        """People write to many bots."""
        batch = await read_body(request, list[NewMessagesFor])
        if any(new.bot < 1 for new in batch):
            raise ControlError(400, "bot: every element names the positive id of its bot")
        return json_response([self._write(self._world.bot(new.bot), new) for new in batch])

    async def press(self, request: web.Request) -> web.Response:
        """A person presses an inline button."""
        bot = self._bot(request)
        new = await read_body(request, Press)
        pressed = press(self._world, bot, new.chat_id, new.message_id, new.data, new.user_id)
        update_ids = [] if pressed.update_id is None else [pressed.update_id]
        return json_response({"update_ids": update_ids, "callback_query_id": pressed.callback_query_id})

    async def inject(self, request: web.Request) -> web.Response:
        """Queue update objects as they are."""
        bot = self._bot(request)
        now, ttl_s = monotonic_s(), self._world.limits.update_ttl_s
        pushed = [bot.push(update, now, ttl_s) for update in await read_body(request, list[dict[str, Any]])]
        return json_response({"update_ids": [update_id for update_id in pushed if update_id is not None]})

    async def inject_raw(self, request: web.Request) -> web.Response:
        """Queue bytes as one element of the result array."""
        bot = self._bot(request)
        update_id = int(asked(request, "update_id", bot.queue.next_id))
        expires_at = monotonic_s() + self._world.limits.update_ttl_s
        return json_response(
            {"update_ids": [bot.push_raw(update_id, await request.read(), expires_at).update_id]}
        )

    async def updates(self, request: web.Request) -> web.Response:
        """Tell what became of each update."""
        return json_response(updates_view(self._bot(request)))

    # What bots did

    async def sent(self, request: web.Request) -> web.Response:
        """Return a bot's calls, waiting for them."""
        return await self._sent(request, self._bot(request).sent)

    async def all_sent(self, request: web.Request) -> web.Response:
        """Return all bots' calls, waiting for them."""
        return await self._sent(request, self._world.sent)

    async def _sent(self, request: web.Request, log: SentLog) -> web.Response:
        found = await log.wait_for(
            int(asked(request, "after", 0)),
            int(asked(request, "count", 1)),
            request.query.get("method"),
            wait_of(request),
        )
        return json_response([entry.as_json(index) for index, entry in found])

    async def state(self, request: web.Request) -> web.Response:
        """Return the state of a bot's intake."""
        return json_response(bot_state(self._bot(request)))

    async def all_state(self, request: web.Request) -> web.Response:
        """Return the state of all bots' intake."""
        return json_response(world_state(self._world))

    async def chat(self, request: web.Request) -> web.Response:
        """Return a chat once its version is past ``after``."""
        chat = self._bot(request).chat(number_in(request, "chat"))
        after, deadline_at = asked(request, "after", -1), monotonic_s() + wait_of(request)
        while chat.version <= after and await chat.changed.wait_until(deadline_at):
            pass
        return json_response(chat_view(chat))

    async def block(self, request: web.Request) -> web.Response:
        """A person blocks a bot."""
        chat = self._bot(request).chat(number_in(request, "chat"))
        chat.blocked = (await read_body(request, Block)).blocked
        chat.touch()
        return json_response(chat_view(chat))

    # Faults and limits

    async def add_fault(self, request: web.Request) -> web.Response:
        """Script a fault."""
        new = await read_body(request, NewFault)
        fault = Fault(
            fault_id=self._world.faults.next_id(),
            kind=new.kind,
            bot=new.bot,
            method=None if new.method is None else new.method.lower(),
            status=new.status,
            seconds=new.seconds,
            left=new.count,
            applied=new.applied,
            headers=new.headers,
            description=new.description,
        )
        self._world.faults.add(fault)
        return json_response({"id": fault.fault_id})

    async def faults(self, request: web.Request) -> web.Response:
        """List faults and how often each happened."""
        return json_response([fault_view(fault) for fault in self._world.faults.faults.values()])

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Clear all faults."""
        self._world.faults.clear()
        return json_response({})

    async def remove_fault(self, request: web.Request) -> web.Response:
        """Clear one fault."""
        fault_id = number_in(request, "fault")
        if not self._world.faults.remove(fault_id):
            raise ControlError(404, f"there is no fault {fault_id}")
        return json_response({})

    async def limit(self, request: web.Request) -> web.Response:
        """Change limits."""
        new = await read_body(request, NewLimits)
        old = self._world.limits
        tokens = AdmissionLimits(
            _changed(new.new_tokens_per_minute, old.new_tokens.per_minute),
            _changed(new.new_tokens_per_hour, old.new_tokens.per_hour),
        )
        self._world.limits = Limits(
            tokens,
            _changed(new.update_ttl_s, old.update_ttl_s),
            _changed(new.strict_chats, old.strict_chats),
        )
        return json_response({})

    async def reset(self, request: web.Request) -> web.Response:
        """Forget everything."""
        self._world.reset()
        return json_response({})


def _changed(new: T | msgspec.UnsetType, old: T) -> T:
    return old if isinstance(new, msgspec.UnsetType) else new
