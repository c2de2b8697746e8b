"""Plausible results for methods whose effect nobody here can see."""

from collections.abc import Callable
from typing import Any

from brama.clock import utc_s
from sandbox.api.methods import Result
from sandbox.api.request import Call
from sandbox.state.chat import describe_chat, describe_user

RIGHTS = (
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)
GIFT_TYPES = (
    "unlimited_gifts",
    "limited_gifts",
    "unique_gifts",
    "premium_subscription",
    "gifts_from_channels",
)


def plausible(result: Result, call: Call) -> Any:
    """Return an object of the kind a method answers, empty where a real account could have nothing either."""
    return _MAKERS[result](call)


def _chat_id(call: Call) -> int:
    chat_id = call.params.get("chat_id")
    return chat_id if isinstance(chat_id, int) else 1


def _person(call: Call) -> dict[str, Any]:
    return describe_user(call.integer("user_id", 1) or 1)


def _rights() -> dict[str, bool]:
    return {"is_anonymous": False, **dict.fromkeys(RIGHTS, True)}


def _message(call: Call) -> dict[str, Any]:
    chat = call.bot.chat(_chat_id(call))
    return {
        "message_id": max(1, chat.last_message_id),
        "from": call.bot.describe(),
        "chat": chat.describe(),
        "date": int(utc_s()),
    }


def _invite_link(call: Call) -> dict[str, Any]:
    return {
        "invite_link": call.text("invite_link") or f"https://t.me/+sandbox{abs(_chat_id(call))}",
        "creator": call.bot.describe(),
        "creates_join_request": call.flag("creates_join_request"),
        "is_primary": False,
        "is_revoked": call.method == "revokeChatInviteLink",
    }


def _member(call: Call) -> dict[str, Any]:
    if call.integer("user_id", 1) == call.bot.bot_id:
        return _administrator(call)
    return {"status": "member", "user": _person(call)}


def _administrator(call: Call) -> dict[str, Any]:
    return {"status": "administrator", "user": call.bot.describe(), "can_be_edited": False, **_rights()}


def _full_chat(call: Call) -> dict[str, Any]:
    return {
        **describe_chat(_chat_id(call)),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(GIFT_TYPES, True),
    }


def _text(call: Call) -> str:
    match call.method:
        case "getManagedBotToken" | "replaceManagedBotToken":
            return f"{call.integer('user_id', 1)}:sandbox-managed-bot-of-{call.bot.bot_id}"
        case "createInvoiceLink":
            return "https://t.me/$sandbox-invoice"
        case _:
            return f"https://t.me/+sandbox{abs(_chat_id(call))}"


def _file(call: Call) -> dict[str, Any]:
    return {"file_id": "sandbox-file", "file_unique_id": "sandbox-file"}


def _connection(call: Call) -> dict[str, Any]:
    return {
        "id": call.text("business_connection_id"),
        "user": describe_user(1),
        "user_chat_id": 1,
        "date": int(utc_s()),
        "is_enabled": True,
    }


def _sticker_set(call: Call) -> dict[str, Any]:
    return {"name": call.text("name"), "title": call.text("name"), "stickers": [], "sticker_type": "regular"}


def _topic(call: Call) -> dict[str, Any]:
    thread_id = call.bot.chat(_chat_id(call)).last_message_id + 1
    return {"message_thread_id": thread_id, "name": call.text("name"), "icon_color": 7322096}


def _poll(call: Call) -> dict[str, Any]:
    return {
        "id": "0",
        "question": "",
        "options": [],
        "total_voter_count": 0,
        "is_closed": True,
        "is_anonymous": True,
        "type": "regular",
        "allows_multiple_answers": False,
    }


_MAKERS: dict[Result, Callable[[Call], Any]] = {
    Result.TRUE: lambda call: True,
    Result.SENT_GUEST_MESSAGE: lambda call: {"inline_message_id": "sandbox-guest"},
    Result.SENT_WEB_APP_MESSAGE: lambda call: {"inline_message_id": "sandbox-web-app"},
    Result.MESSAGE_ID: lambda call: {"message_id": _message(call)["message_id"]},
    Result.MESSAGE_IDS: lambda call: [],
    Result.CHAT_INVITE_LINK: _invite_link,
    Result.FORUM_TOPIC: _topic,
    Result.TEXT: _text,
    Result.MESSAGE_OR_TRUE: lambda call: True if call.text("inline_message_id") else _message(call),
    Result.MESSAGE: _message,
    Result.STORY: lambda call: {"chat": describe_chat(1), "id": call.integer("story_id", 1)},
    Result.GIFTS: lambda call: {"gifts": []},
    Result.OWNED_GIFTS: lambda call: {"total_count": 0, "gifts": []},
    Result.STAR_AMOUNT: lambda call: {"amount": 0},
    Result.BUSINESS_CONNECTION: _connection,
    Result.CHAT_FULL_INFO: _full_chat,
    Result.CHAT_MEMBERS: lambda call: [_administrator(call)],
    Result.CHAT_MEMBER: _member,
    Result.NUMBER: lambda call: 2,
    Result.MENU_BUTTON: lambda call: {"type": "commands"},
    Result.STICKERS: lambda call: [],
    Result.FILE: _file,
    Result.GAME_HIGH_SCORES: lambda call: [],
    Result.BOT_ACCESS_SETTINGS: lambda call: {"is_access_restricted": False},
    Result.USER: lambda call: call.bot.describe(),
    Result.BOT_COMMANDS: lambda call: [],
    Result.CHAT_ADMINISTRATOR_RIGHTS: lambda call: _rights(),
    Result.BOT_DESCRIPTION: lambda call: {"description": ""},
    Result.BOT_NAME: lambda call: {"name": call.bot.first_name},
    Result.BOT_SHORT_DESCRIPTION: lambda call: {"short_description": ""},
    Result.STAR_TRANSACTIONS: lambda call: {"transactions": []},
    Result.STICKER_SET: _sticker_set,
    Result.UPDATES: lambda call: [],
    Result.USER_CHAT_BOOSTS: lambda call: {"boosts": []},
    Result.MESSAGES: lambda call: [],
    Result.USER_PROFILE_AUDIOS: lambda call: {"total_count": 0, "audios": []},
    Result.USER_PROFILE_PHOTOS: lambda call: {"total_count": 0, "photos": []},
    Result.WEBHOOK_INFO: lambda call: {"url": "", "has_custom_certificate": False, "pending_update_count": 0},
    Result.PREPARED_INLINE_MESSAGE: lambda call: {
        "id": "sandbox-prepared",
        "expiration_date": int(utc_s()) + 3600,
    },
    Result.PREPARED_KEYBOARD_BUTTON: lambda call: {"id": "sandbox-prepared"},
    Result.POLL: _poll,
}
