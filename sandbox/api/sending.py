"""Methods that put messages into a chat: send, copy, forward."""

from collections.abc import Callable
from typing import Any

from brama.clock import utc_s
from sandbox.api.content import CONTENTS, Content, file_object, photo_sizes
from sandbox.api.errors import bad_request
from sandbox.api.formatting import formatted, message_caption
from sandbox.api.keyboards import apply_reply_keyboard, inline_keyboard
from sandbox.api.request import Call
from sandbox.api.targets import find_chat
from sandbox.state.chat import Chat
from sandbox.state.world import World

Handler = Callable[[World, Call], Any]
Message = dict[str, Any]

#: What belongs to one message and does not go along when it is copied or forwarded.
OWN_FIELDS = frozenset(
    {"message_id", "from", "chat", "date", "edit_date", "reply_to_message", "reply_markup"}
)
ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)


def post(call: Call, chat: Chat, content: Content) -> Message:
    """Put a message of the bot into a chat."""
    keyboard = inline_keyboard(call)
    replied = _replied(call, chat)
    apply_reply_keyboard(call, chat)
    message: Message = {
        "from": call.bot.describe(),
        "chat": chat.describe(),
        "date": int(utc_s()),
        **content,
    }
    if replied is not None:
        message["reply_to_message"] = {
            key: value for key, value in replied.items() if key != "reply_to_message"
        }
    if keyboard is not None:
        message["reply_markup"] = keyboard
    if "message_thread_id" in call.params and chat.chat_id < 0:
        message["message_thread_id"] = call.integer("message_thread_id", 0)
    if call.flag("protect_content"):
        message["has_protected_content"] = True
    return chat.add(message)


def _replied(call: Call, chat: Chat) -> Message | None:
    reply = call.params.get("reply_parameters")
    if isinstance(reply, dict):
        message_id, lenient = reply.get("message_id"), reply.get("allow_sending_without_reply")
    else:
        message_id = call.integer("reply_to_message_id", 0) or None
        lenient = call.flag("allow_sending_without_reply")
    if message_id is None:
        return None
    if not isinstance(message_id, int) or not chat.exists(message_id):
        if lenient:
            return None
        raise bad_request("message to be replied not found")
    return chat.messages.get(message_id)


def _sender(build: Callable[[World, Call], Content]) -> Handler:
    def send(world: World, call: Call) -> Message:
        chat = find_chat(world, call)
        return post(call, chat, build(world, call))

    return send


def send_media_group(world: World, call: Call) -> list[Message]:
    """Send 2 to 10 files as one album."""
    chat = find_chat(world, call)
    media = call.list_of("media")
    if not 2 <= len(media) <= 10:
        raise bad_request(
            "wrong number of media in the album" if media else "there are no media in the request"
        )
    contents = [media_content(world, call, item) for item in media]
    album_id = f"{call.bot.bot_id}{chat.last_message_id + 1}"
    return [post(call, chat, {"media_group_id": album_id, **content}) for content in contents]


def media_content(world: World, call: Call, item: Any) -> Content:
    """Return what an InputMedia object makes of a message.

    Raises:
        ApiError: it is none, or its file did not come with the request.
    """
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise bad_request("can't parse InputMedia: object expected")
    kind = item["type"]
    single = Call(call.bot, call.method, {**item, kind: item.get("media")}, call.files)
    caption = message_caption(single)
    if kind == "photo":
        return {"photo": photo_sizes(file_object(world, single, "photo")), **caption}
    build = CONTENTS.get(f"send{kind.capitalize()}")
    if build is None or kind not in ("video", "audio", "document", "animation"):
        raise bad_request(f'type "{kind}" of the media is invalid')
    return build(world, single)


def _source(world: World, call: Call, message_id: int, missing: str) -> Message:
    source = find_chat(world, call, "from_chat_id")
    if not source.exists(message_id):
        raise bad_request(missing)
    original = source.messages.get(message_id)
    return original if original is not None else {"from": call.bot.describe(), "date": int(utc_s())}


def _content_of(message: Message) -> Content:
    return {key: value for key, value in message.items() if key not in OWN_FIELDS}


def _copy(world: World, call: Call, chat: Chat, message_id: int) -> dict[str, int]:
    content = _content_of(_source(world, call, message_id, "message to copy not found"))
    if "caption" in call.params and "text" not in content:
        text, entities = formatted(
            call.text("caption"), call.text("parse_mode"), call.list_of("caption_entities")
        )
        content |= {"caption": text, "caption_entities": entities}
    return {"message_id": post(call, chat, content)["message_id"]}


def _forward(world: World, call: Call, chat: Chat, message_id: int) -> Message:
    original = _source(world, call, message_id, "message to forward not found")
    origin = {"type": "user", "sender_user": original["from"], "date": original["date"]}
    return post(call, chat, {**_content_of(original), "forward_origin": origin})


def copy_message(world: World, call: Call) -> dict[str, int]:
    """Send a message's content again."""
    return _copy(world, call, find_chat(world, call), call.integer("message_id", 0))


def forward_message(world: World, call: Call) -> Message:
    """Send a message on, with its origin."""
    return _forward(world, call, find_chat(world, call), call.integer("message_id", 0))


def _message_ids(call: Call) -> list[int]:
    ids = [message_id for message_id in call.list_of("message_ids") if isinstance(message_id, int)]
    if not 1 <= len(ids) <= 100:
        raise bad_request(
            "message identifiers are not specified" if not ids else "too many message identifiers specified"
        )
    return ids


def copy_messages(world: World, call: Call) -> list[dict[str, int]]:
    """Send several messages again; those not found are skipped."""
    chat = find_chat(world, call)
    source = find_chat(world, call, "from_chat_id")
    return [_copy(world, call, chat, number) for number in _message_ids(call) if source.exists(number)]


def forward_messages(world: World, call: Call) -> list[dict[str, int]]:
    """Send several messages on; those not found are skipped."""
    chat = find_chat(world, call)
    source = find_chat(world, call, "from_chat_id")
    found = [number for number in _message_ids(call) if source.exists(number)]
    return [{"message_id": _forward(world, call, chat, number)["message_id"]} for number in found]


def send_chat_action(world: World, call: Call) -> bool:
    """Show what the bot is doing."""
    chat = find_chat(world, call)
    if call.text("action").lower() not in ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat.action = call.text("action").lower()
    chat.touch()
    return True


HANDLERS: dict[str, Handler] = {
    **{method: _sender(build) for method, build in CONTENTS.items()},
    "sendMediaGroup": send_media_group,
    "copyMessage": copy_message,
    "copyMessages": copy_messages,
    "forwardMessage": forward_message,
    "forwardMessages": forward_messages,
    "sendChatAction": send_chat_action,
}
