"""Control routes that change how the server behaves: faults, limits, blocked bots, a fresh start."""

from typing import TypeVar

import msgspec
from aiohttp import web

from sandbox.control.http import (
    ControlError,
    Endpoint,
    bot_of,
    json_response,
    number_in,
    read_body,
)
from sandbox.control.payloads import Block, BlockWebhook, NewFault, NewLimits
from sandbox.control.views import chat_view, fault_view
from sandbox.policy.admission import AdmissionLimits
from sandbox.policy.faults import Fault
from sandbox.state.world import Limits, World

T = TypeVar("T")


class ScriptingRoutes:
    """Serves faults and limits."""

    def __init__(self, world: World) -> None:
        self._world = world

    def endpoints(self) -> list[Endpoint]:
        """Return what is served where."""
        return [
            ("POST", "/faults", self.add_fault),
            ("GET", "/faults", self.faults),
            ("DELETE", "/faults", self.clear_faults),
            ("DELETE", "/faults/{fault}", self.remove_fault),
            ("POST", "/limits", self.limit),
            ("POST", "/bots/{bot}/chats/{chat}/block", self.block),
            ("POST", "/bots/{bot}/webhook/block", self.block_webhook),
            ("POST", "/webhook/block", self.block_webhooks),
            ("POST", "/reset", self.reset),
        ]

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
            _changed(new.webhook_pause_scale, old.webhook_pause_scale),
            _changed(new.webhook_response_limit_s, old.webhook_response_limit_s),
        )
        return json_response({})

    async def block(self, request: web.Request) -> web.Response:
        """A person blocks a bot."""
        bot = bot_of(self._world, request)
        chat = bot.chat(number_in(request, "chat"))
        chat.blocked = (await read_body(request, Block)).blocked
        chat.touch()
        return json_response(chat_view(bot, chat))

    async def block_webhook(self, request: web.Request) -> web.Response:
        """Cut the network between here and one bot's webhook; it may be set later."""
        bot = bot_of(self._world, request)
        blocked = (await read_body(request, BlockWebhook)).blocked
        self._world.delivery(bot).blocked = blocked
        return json_response({"blocked": blocked})

    async def block_webhooks(self, request: web.Request) -> web.Response:
        """Cut the network between here and all webhooks; mending it mends no single bot's."""
        blocked = (await read_body(request, BlockWebhook)).blocked
        self._world.webhooks_blocked = blocked
        return json_response({"blocked": blocked})

    async def reset(self, request: web.Request) -> web.Response:
        """Forget everything."""
        self._world.reset()
        return json_response({})


def _changed(new: T | msgspec.UnsetType, old: T) -> T:
    return old if isinstance(new, msgspec.UnsetType) else new
