"""Routes a Bot API call to what answers it, and notes what bots sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.api import account, editing, sending, webhook
from sandbox.api.methods import METHODS
from sandbox.api.objects import plausible
from sandbox.api.polling import Wait, get_updates
from sandbox.api.request import Call
from sandbox.state.bot import encode
from sandbox.state.world import World

Handler = Callable[[World, Call], Any]

HANDLERS: dict[str, Handler] = {
    **account.HANDLERS,
    **webhook.HANDLERS,
    **sending.HANDLERS,
    **editing.HANDLERS,
}
#: Calls about getting updates, which nobody sees: they are counted and not listed as sent.
UNLISTED = frozenset({"getUpdates", "getMe", "getWebhookInfo", "setWebhook", "deleteWebhook"})


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Answers the calls of every bot of a world."""

    world: World

    async def call(self, call: Call, wait: Wait) -> bytes:
        """Answer a call.

        Args:
            wait: how a long poll waits for its end.

        Returns:
            the body of the answer.

        Raises:
            ApiError: Telegram would refuse the call.
        """
        if call.method == "getUpdates":
            return b'{"ok":true,"result":' + await get_updates(call, wait) + b"}"
        handler = HANDLERS.get(call.method)
        result = handler(self.world, call) if handler else plausible(METHODS[call.method], call)
        if call.method not in UNLISTED:
            self.world.record(call.bot, call.method, call.params, _message_id(result))
        if isinstance(result, webhook.Explained):
            return encode({"ok": True, "result": True, "description": result.description})
        return encode({"ok": True, "result": result})


def _message_id(result: Any) -> int | None:
    first = result[0] if isinstance(result, list) and result else result
    message_id = first.get("message_id") if isinstance(first, dict) else None
    return message_id if isinstance(message_id, int) else None
