"""Every method of the Bot API, called by python-telegram-bot, answered with what it can read."""

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import telegram
from telegram import Bot
from telegram.error import InvalidToken

from sandbox.api.methods import METHODS, Result
from tests.fixtures.sandbox import RunningSandbox, running_sandbox

CHAT = 7
PICTURE = b"\x89PNG made up"
#: Not methods of the Bot API.
OWN = {"initialize", "shutdown"}

BUTTON = telegram.InlineKeyboardButton("x", url="http://e.org")

BY_NAME: dict[str, Any] = {
    "accepted_gift_types": telegram.AcceptedGiftTypes(True, True, True, True, True),
    "action": "typing",
    "active_period": timedelta(days=1),
    "button": telegram.KeyboardButton("x"),
    "chat_id": CHAT,
    "checklist": telegram.InputChecklist("list", [telegram.InputChecklistTask(1, "one")]),
    "commands": [("start", "Start")],
    "content": telegram.InputStoryContentPhoto(PICTURE),
    "currency": "EUR",
    "custom_emoji_ids": ["1"],
    "draft_id": 1,
    "emoji_list": ["😀"],
    "errors": [],
    "format": "static",
    "from_chat_id": CHAT,
    "from_story_id": 1,
    "is_access_restricted": True,
    "is_canceled": True,
    "limit": 5,
    "message_ids": [1],
    "message_thread_id": 1,
    "month_count": 3,
    "new_owner_chat_id": CHAT,
    "ok": True,
    "options": ["a", "b"],
    "permissions": telegram.ChatPermissions(),
    "photo": PICTURE,
    "position": 0,
    "prices": [telegram.LabeledPrice("one", 100)],
    "result": telegram.InlineQueryResultGame("1", "game"),
    "results": [telegram.InlineQueryResultGame("1", "game")],
    "score": 5,
    "sender_chat_id": -5,
    "show_gift_button": True,
    "star_count": 1000,
    "stickers": [telegram.InputSticker(PICTURE, ["😀"], "static")],
    "story_id": 1,
    "subscription_period": timedelta(days=30),
    "subscription_price": 1,
    "url": "https://bots.example.com/hook",
    "user_id": CHAT,
}
BY_METHOD: dict[str, dict[str, Any]] = {
    "addStickerToSet": {"sticker": telegram.InputSticker(PICTURE, ["😀"], "static")},
    "answerShippingQuery": {"shipping_options": [telegram.ShippingOption("1", "x", BY_NAME["prices"])]},
    "editMessageCaption": {"caption": "new caption"},
    "editMessageLiveLocation": {"latitude": 1.0, "longitude": 2.0},
    "editMessageMedia": {"media": telegram.InputMediaPhoto(PICTURE)},
    "replaceStickerInSet": {"sticker": telegram.InputSticker(PICTURE, ["😀"], "static")},
    "sendContact": {"phone_number": "1", "first_name": "x"},
    "sendLocation": {"latitude": 1.0, "longitude": 2.0},
    "sendMediaGroup": {"media": [telegram.InputMediaPhoto(PICTURE), telegram.InputMediaVideo(PICTURE)]},
    "sendPaidMedia": {"media": [telegram.InputPaidMediaPhoto(PICTURE)]},
    "sendVenue": {"latitude": 1.0, "longitude": 2.0, "title": "x", "address": "y"},
    "setBusinessAccountProfilePhoto": {"photo": telegram.InputProfilePhotoStatic(PICTURE)},
    "setMyProfilePhoto": {"photo": telegram.InputProfilePhotoStatic(PICTURE)},
    "stopMessageLiveLocation": {"reply_markup": telegram.InlineKeyboardMarkup.from_button(BUTTON)},
}
#: Uploads, for parameters that take a file.
FILES = {"animation", "audio", "document", "live_photo", "photo", "sticker", "video", "video_note", "voice"}


def methods_of_the_client() -> set[str]:
    return {
        name
        for name, value in inspect.getmembers(Bot, inspect.iscoroutinefunction)
        if not name.startswith("_") and "_" not in name and name not in OWN
    }


def test_the_table_has_exactly_the_methods_of_the_client() -> None:
    assert set(METHODS) == methods_of_the_client()


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSandbox]:
    with running_sandbox() as running:
        yield running


def arguments(method: str, message_id: int, poll_id: int, file_id: str) -> dict[str, Any]:
    given: dict[str, Any] = dict(BY_METHOD.get(method, {}))
    for name, parameter in inspect.signature(getattr(Bot, method)).parameters.items():
        if name in given or name == "self":
            continue
        is_target = method.startswith(("edit", "stop", "setGame")) and name in ("chat_id", "message_id")
        if parameter.default is not inspect.Parameter.empty and not is_target:
            continue
        if name == "message_id":
            given[name] = poll_id if method == "stopPoll" else message_id
        elif name == "file_id":
            given[name] = file_id
        elif name == "sticker" and method.startswith(("set", "delete")):
            given[name] = "some sticker"
        elif name in FILES:
            given[name] = PICTURE
        else:
            given[name] = BY_NAME.get(name, "some text")
    return given


def expected_type(result: Result) -> type:
    match result:
        case Result.TRUE:
            return bool
        case Result.TEXT:
            return str
        case Result.NUMBER:
            return int
        case Result.MESSAGE_OR_TRUE:
            return telegram.Message
        case _ if result.startswith("Array of"):
            return tuple
        case _:
            found: type = getattr(telegram, result)
            return found


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_every_method_answers_what_the_client_can_read(server: RunningSandbox, method: str) -> None:
    number = 2000 + sorted(METHODS).index(method)
    async with server.client(number) as bot:
        if "Caption" in method or "Media" in method or method == "getFile":
            message = await bot.send_photo(CHAT, PICTURE, caption="caption")
        elif "LiveLocation" in method:
            message = await bot.send_location(CHAT, 5.0, 6.0, live_period=60)
        else:
            markup = telegram.InlineKeyboardMarkup.from_button(
                telegram.InlineKeyboardButton("x", url="http://e.org")
            )
            message = await bot.send_message(CHAT, "text", reply_markup=markup)
        poll = await bot.send_poll(CHAT, "which?", ["a", "b"])
        file_id = message.photo[-1].file_id if message.photo else ""
        result = await getattr(bot, method)(**arguments(method, message.id, poll.id, file_id))
    assert isinstance(result, expected_type(METHODS[method])), result
    if METHODS[method] is Result.TRUE:
        assert result is True


def test_the_result_of_every_method_is_of_the_kind_the_client_expects() -> None:
    for method, result in METHODS.items():
        hint = inspect.signature(getattr(Bot, method)).return_annotation
        if result is Result.MESSAGE_OR_TRUE:
            assert str(hint) == "Message | bool", method
        elif expected_type(result) is tuple:
            assert re.search(rf"\b{result.removeprefix('Array of ')}\b", str(hint)), method
            assert str(hint).startswith("tuple["), method
        else:
            assert hint in (expected_type(result), result.value), method


async def test_method_names_are_in_any_case_and_unknown_ones_are_not_found(server: RunningSandbox) -> None:
    async with server.client(1) as bot:
        assert (await bot.do_api_request("GETME"))["username"] == "bot1_bot"
        with pytest.raises(telegram.error.EndPointNotFound):
            await bot.do_api_request("getNothing")


async def test_a_token_that_is_none_is_not_found(server: RunningSandbox) -> None:
    with pytest.raises(InvalidToken):
        async with Bot("1:short", base_url=f"{server.base_url}/bot"):
            pass
