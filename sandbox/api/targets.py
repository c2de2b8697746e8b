"""Finds the chats and messages that a call is about, and refuses those that are not there."""

from typing import Any
from zlib import crc32

from brama.clock import utc_s
from sandbox.api.errors import ApiError, bad_request
from sandbox.api.request import Call
from sandbox.state.chat import Chat
from sandbox.state.world import World

#: Telegram's ids fit in 52 bits.
MAX_ID = 1 << 52


def find_chat(world: World, call: Call, name: str = "chat_id") -> Chat:
    """Return the chat a call names.

    Raises:
        ApiError: none is named, it is none, or its person blocked the bot.
    """
    value = call.params.get(name)
    if value is None or value == "":
        raise bad_request(f"{name} is empty")
    chat_id = _chat_id_of(value)
    if chat_id is None or (world.limits.strict_chats and chat_id not in call.bot.chats):
        raise bad_request("chat not found")
    chat = call.bot.chat(chat_id)
    if chat.blocked:
        raise ApiError(403, "Forbidden: bot was blocked by the user")
    return chat


def _chat_id_of(value: Any) -> int | None:
    if isinstance(value, str) and value.startswith("@") and len(value) > 4:
        # A public channel: its id follows from its name, so every run agrees on it.
        return -1_000_000_000_000 - crc32(value.lower().encode("utf-8", "replace"))
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value != 0 and abs(value) < MAX_ID else None


def own_message(call: Call, chat: Chat, missing: str, foreign: str) -> dict[str, Any]:
    """Return the bot's own message that ``message_id`` names; the errors are in the words given.

    A message the chat no longer remembers is taken for the bot's own.
    """
    message_id = call.integer("message_id", 0)
    if not chat.exists(message_id):
        raise bad_request(missing)
    message = chat.messages.get(message_id)
    if message is None:
        return {
            "message_id": message_id,
            "from": call.bot.describe(),
            "chat": chat.describe(),
            "date": int(utc_s()),
        }
    if message["from"]["id"] != call.bot.bot_id:
        raise bad_request(foreign)
    return message


def is_inline(call: Call) -> bool:
    """Tell whether a call is about a message sent by way of the bot, which no chat here holds."""
    return bool(call.text("inline_message_id"))
