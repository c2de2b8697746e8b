"""Methods that change, remove or react to messages that are there."""

from collections.abc import Callable
from typing import Any

from brama.clock import utc_s
from sandbox.api.content import Content, checklist, coordinates
from sandbox.api.errors import bad_request
from sandbox.api.formatting import message_caption, message_text
from sandbox.api.keyboards import inline_keyboard
from sandbox.api.request import Call
from sandbox.api.sending import OWN_FIELDS, media_content
from sandbox.api.targets import find_chat, is_inline, own_message
from sandbox.state.chat import Chat
from sandbox.state.world import World

Handler = Callable[[World, Call], Any]
Message = dict[str, Any]

NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)


def _edit(world: World, call: Call, change: Callable[[Message], Content]) -> Message | bool:
    """Replace a message of the bot by what ``change`` makes of it; without a keyboard it loses its own."""
    keyboard = inline_keyboard(call)
    if is_inline(call):
        change({})
        return True
    chat = find_chat(world, call)
    old = own_message(call, chat, "message to edit not found", "message can't be edited")
    content = change(old)
    dropped = _replaced(content) | {"reply_markup"}
    new = {key: value for key, value in old.items() if key not in dropped} | content
    if keyboard is not None:
        new["reply_markup"] = keyboard
    if {**new, "edit_date": 0} == {**old, "edit_date": 0}:
        raise bad_request(NOT_MODIFIED)
    new["edit_date"] = int(utc_s())
    _store(chat, new)
    return new


def _replaced(content: Content) -> frozenset[str]:
    if "text" in content:
        return frozenset({"text", "entities"})
    return frozenset({"caption", "caption_entities"}) if "caption" in content else frozenset()


def _store(chat: Chat, message: Message) -> None:
    if message["message_id"] in chat.messages:
        chat.messages[message["message_id"]] = message
    chat.touch()


def edit_text(world: World, call: Call) -> Message | bool:
    """Replace the text of a message."""
    content = message_text(call)

    def change(old: Message) -> Content:
        if "text" not in old and old.keys() - OWN_FIELDS:
            raise bad_request("there is no text in the message to edit")
        return content

    return _edit(world, call, change)


def edit_caption(world: World, call: Call) -> Message | bool:
    """Replace the caption of a message."""
    content = {"caption": "", **message_caption(call)}

    def change(old: Message) -> Content:
        if "text" in old:
            raise bad_request("there is no caption in the message to edit")
        return content

    return _edit(world, call, change)


def edit_keyboard(world: World, call: Call) -> Message | bool:
    """Replace the inline keyboard of a message."""
    return _edit(world, call, lambda old: {})


def edit_media(world: World, call: Call) -> Message | bool:
    """Replace the file of a message."""
    content = media_content(world, call, call.params.get("media"))
    if is_inline(call):
        return True
    chat = find_chat(world, call)
    old = own_message(call, chat, "message to edit not found", "message can't be edited")
    kept = {key: old[key] for key in OWN_FIELDS if key in old and key != "reply_markup"}
    new = {**kept, **content, "edit_date": int(utc_s())}
    keyboard = inline_keyboard(call)
    if keyboard is not None:
        new["reply_markup"] = keyboard
    _store(chat, new)
    return new


def edit_location(world: World, call: Call) -> Message | bool:
    """Move or stop a live location."""

    def change(old: Message) -> Content:
        if "latitude" not in call.params:
            return {}
        return {"location": coordinates(call)}

    return _edit(world, call, change)


def edit_checklist(world: World, call: Call) -> Message | bool:
    """Replace a checklist."""
    content = checklist(world, call)
    return _edit(world, call, lambda old: content)


def stop_poll(world: World, call: Call) -> dict[str, Any]:
    """Close a poll."""
    chat = find_chat(world, call)
    message = own_message(call, chat, "message with poll to stop not found", "message can't be edited")
    if "poll" not in message:
        raise bad_request("message with poll to stop not found")
    if message["poll"]["is_closed"]:
        raise bad_request("poll has already been closed")
    closed: dict[str, Any] = {**message["poll"], "is_closed": True}
    _store(chat, {**message, "poll": closed})
    return closed


def delete_message(world: World, call: Call) -> bool:
    """Remove a message, the bot's or the person's."""
    chat = find_chat(world, call)
    message_id = call.integer("message_id", 0)
    if not chat.exists(message_id):
        raise bad_request("message to delete not found")
    chat.delete(message_id)
    return True


def delete_messages(world: World, call: Call) -> bool:
    """Remove several messages; those not found are skipped."""
    chat = find_chat(world, call)
    ids = [message_id for message_id in call.list_of("message_ids") if isinstance(message_id, int)]
    if not 1 <= len(ids) <= 100:
        raise bad_request("message identifiers are not specified")
    for message_id in ids:
        if chat.exists(message_id):
            chat.delete(message_id)
    return True


def answer_callback_query(world: World, call: Call) -> bool:
    """End the progress bar of a pressed button."""
    if not call.text("callback_query_id"):
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    if len(call.text("text")) > 200:
        raise bad_request("MESSAGE_TOO_LONG")
    return True


def set_reaction(world: World, call: Call) -> bool:
    """Put the bot's reaction on a message."""
    chat = find_chat(world, call)
    message_id = call.integer("message_id", 0)
    if not chat.exists(message_id):
        raise bad_request("message to react not found")
    chat.reactions[message_id] = [
        reaction["emoji"]
        for reaction in call.list_of("reaction")
        if isinstance(reaction, dict) and isinstance(reaction.get("emoji"), str)
    ]
    chat.touch()
    return True


def pin_message(world: World, call: Call) -> bool:
    """Pin a message."""
    chat = find_chat(world, call)
    if not chat.exists(call.integer("message_id", 0)):
        raise bad_request("message to pin not found")
    return True


HANDLERS: dict[str, Handler] = {
    "editMessageText": edit_text,
    "editMessageCaption": edit_caption,
    "editMessageReplyMarkup": edit_keyboard,
    "editMessageMedia": edit_media,
    "editMessageLiveLocation": edit_location,
    "stopMessageLiveLocation": edit_location,
    "editMessageChecklist": edit_checklist,
    "stopPoll": stop_poll,
    "deleteMessage": delete_message,
    "deleteMessages": delete_messages,
    "answerCallbackQuery": answer_callback_query,
    "setMessageReaction": set_reaction,
    "pinChatMessage": pin_message,
}
