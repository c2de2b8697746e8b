"""What people do: write to a bot, edit what they wrote, press its buttons."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from brama.clock import monotonic_s, utc_s
from sandbox.policy.entities import find_entities
from sandbox.state.bot import Bot
from sandbox.state.chat import describe_user
from sandbox.state.world import World

#: Who writes in a group when nobody is named.
SOMEBODY = 1


@dataclass(frozen=True, slots=True)
class Written:
    """One message of a person; ``update_id`` is None when ``allowed_updates`` kept it from the bot."""

    update_id: int | None
    message_id: int


def write(world: World, bot: Bot, chat_id: int, text: str, user_id: int | None = None) -> Written:
    """Put a person's text message into a chat and into the bot's queue.

    Args:
        chat_id: positive: a private chat with that person; negative: a group.
        user_id: who writes; by default the person of a private chat.
    """
    chat = bot.chat(chat_id)
    sender = user_id if user_id is not None else chat_id if chat_id > 0 else SOMEBODY
    message: dict[str, Any] = {
        "from": describe_user(sender),
        "chat": chat.describe(),
        "date": int(utc_s()),
        "text": text,
    }
    entities = find_entities(text)
    if entities:
        message["entities"] = entities
    message = chat.add(message)
    if chat.keyboard is not None and chat.keyboard.get("one_time_keyboard"):
        chat.keyboard = None
    update_id = bot.push({"message": message}, monotonic_s(), world.limits.update_ttl_s)
    return Written(update_id, message["message_id"])


@dataclass(frozen=True, slots=True)
class Pressed:
    """A pressed inline button."""

    update_id: int | None
    callback_query_id: str


def press(
    world: World, bot: Bot, chat_id: int, message_id: int, data: str, user_id: int | None = None
) -> Pressed:
    """Press an inline button of a message, which need not exist: Telegram too answers for old ones."""
    chat = bot.chat(chat_id)
    sender = user_id if user_id is not None else chat_id if chat_id > 0 else SOMEBODY
    message = chat.messages.get(message_id) or {
        "message_id": message_id,
        "date": 0,
        "chat": chat.describe(),
    }
    query_id = str(uuid4().int >> 65)
    query = {
        "id": query_id,
        "from": describe_user(sender),
        "message": message,
        "chat_instance": str(chat_id),
        "data": data,
    }
    update_id = bot.push({"callback_query": query}, monotonic_s(), world.limits.update_ttl_s)
    return Pressed(update_id, query_id)
