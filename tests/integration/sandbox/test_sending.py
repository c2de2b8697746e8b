"""Messages: what Telegram refuses, what comes back, what the chat then shows."""

import signal
import socket

import pytest
from telegram import (
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    MessageOriginUser,
    ReactionTypeEmoji,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
)
from telegram.constants import ParseMode
from telegram.error import BadRequest, Forbidden

from tests.fixtures.sandbox import RunningSandbox

BOT = 1001
CHAT = 7
PICTURE = b"\x89PNG made up"
KEYBOARD = InlineKeyboardMarkup.from_button(InlineKeyboardButton("Press", callback_data="pressed"))

LONG_DATA = {"inline_keyboard": [[{"text": "x", "callback_data": "x" * 65}]]}


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("sendMessage", {"text": "x"}, "chat_id is empty"),
        ("sendMessage", {"chat_id": 0, "text": "x"}, "chat not found"),
        ("sendMessage", {"chat_id": "nobody", "text": "x"}, "chat not found"),
        ("sendMessage", {"chat_id": 7}, "message text is empty"),
        ("sendMessage", {"chat_id": 7, "text": " \n"}, "message text is empty"),
        ("sendMessage", {"chat_id": 7, "text": "x" * 4097}, "message is too long"),
        ("sendMessage", {"chat_id": 7, "text": "😀" * 2049}, "message is too long"),
        ("sendMessage", {"chat_id": 7, "text": "x" * 100_000}, "message is too long"),
        (
            "sendMessage",
            {"chat_id": 7, "text": "<x>", "parse_mode": "HTML"},
            'can\'t parse entities: Unsupported start tag "x" at byte offset 0',
        ),
        ("sendMessage", {"chat_id": 7, "text": "x", "parse_mode": "XML"}, "unsupported parse_mode"),
        (
            "sendMessage",
            {"chat_id": 7, "text": "x", "reply_to_message_id": 9},
            "message to be replied not found",
        ),
        (
            "sendMessage",
            {"chat_id": 7, "text": "x", "reply_parameters": {"message_id": 99}},
            "message to be replied not found",
        ),
        ("sendMessage", {"chat_id": 7, "text": "x", "reply_markup": "x"}, "object expected as reply markup"),
        (
            "sendMessage",
            {"chat_id": 7, "text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x"}]]}},
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        (
            "sendMessage",
            {"chat_id": 7, "text": "x", "reply_markup": LONG_DATA},
            "BUTTON_DATA_INVALID",
        ),
        ("sendPhoto", {"chat_id": 7}, "there is no photo in the request"),
        ("sendPhoto", {"chat_id": 7, "photo": "attach://gone"}, "there is no photo in the request"),
        ("sendPhoto", {"chat_id": 7, "photo": "id", "caption": "x" * 1025}, "message caption is too long"),
        ("sendMediaGroup", {"chat_id": 7, "media": []}, "there are no media in the request"),
        ("sendLocation", {"chat_id": 7, "latitude": 95, "longitude": 5}, "wrong location specified"),
        ("sendChatAction", {"chat_id": 7, "action": "dancing"}, "wrong parameter action in request"),
        ("sendPoll", {"chat_id": 7, "question": "", "options": ["a"]}, "poll question must be non-empty"),
        ("sendDice", {"chat_id": 7, "emoji": "x"}, "wrong dice emoji specified"),
        ("editMessageText", {"chat_id": 7, "message_id": 99, "text": "x"}, "message to edit not found"),
        ("editMessageText", {"chat_id": 7, "message_id": 1, "text": "x"}, "message can't be edited"),
        ("deleteMessage", {"chat_id": 7, "message_id": 99}, "message to delete not found"),
        ("copyMessage", {"chat_id": 7, "from_chat_id": 7, "message_id": 99}, "message to copy not found"),
        (
            "forwardMessage",
            {"chat_id": 7, "from_chat_id": 7, "message_id": 9},
            "message to forward not found",
        ),
        ("stopPoll", {"chat_id": 7, "message_id": 99}, "message with poll to stop not found"),
        (
            "answerCallbackQuery",
            {},
            "query is too old and response timeout expired or query ID is invalid",
        ),
        ("getFile", {"file_id": "nothing"}, "wrong file_id or the file is temporarily unavailable"),
        ("setMyCommands", {"commands": [{"command": "A b", "description": "x"}]}, "BOT_COMMAND_INVALID"),
    ],
)
def test_what_is_refused_and_how(
    sandbox: RunningSandbox, method: str, params: dict[str, object], words: str
) -> None:
    sandbox.control.send_messages(BOT, chat_id=CHAT, text="message 1")
    _, answer = sandbox.call(BOT, method, **params)
    assert answer == {"ok": False, "error_code": 400, "description": f"Bad Request: {words}"}
    assert sandbox.control.sent(BOT) == []


def test_a_message_of_a_bot_that_is_killed_right_after_is_sent(sandbox: RunningSandbox) -> None:
    host, port = sandbox.base_url.removeprefix("http://").split(":")
    # A stopped server finds the request and the end of its connection at once.
    sandbox.process.send_signal(signal.SIGSTOP)
    try:
        for number in range(20):
            body = f"chat_id=7&text=last+words+{number}".encode()
            head = (
                f"POST /bot{sandbox.token(BOT)}/sendMessage HTTP/1.1\r\nHost: {host}\r\n"
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head.encode() + body)
    finally:
        sandbox.process.send_signal(signal.SIGCONT)
    sent = sandbox.control.sent(BOT, wait_s=20, count=20)
    assert {call.params["text"] for call in sent} == {f"last words {number}" for number in range(20)}


async def test_message_ids_count_up_in_each_chat(sandbox: RunningSandbox) -> None:
    written = sandbox.control.send_messages(BOT, chat_id=CHAT, text="{n}", count=2)
    async with sandbox.client(BOT) as bot:
        sent = [(await bot.send_message(CHAT, "x")).id, (await bot.send_message(CHAT + 1, "x")).id]
    assert written.message_ids == [1, 2]
    assert sent == [3, 1]


async def test_marked_text_comes_back_as_entities(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        message = await bot.send_message(CHAT, "😀 <b>bold</b> &amp; plain", parse_mode=ParseMode.HTML)
    assert message.text == "😀 bold & plain"
    assert message.parse_entities() == {message.entities[0]: "bold"}
    assert message.text_html == "😀 <b>bold</b> &amp; plain"


async def test_a_conversation_with_buttons(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        message = await bot.send_message(CHAT, "press it", reply_markup=KEYBOARD)
        assert message.reply_markup == KEYBOARD
        pressed = sandbox.control.press_button(BOT, CHAT, message.id, "pressed")
        (update,) = await bot.get_updates()
        assert update.callback_query is not None
        assert update.callback_query.id == pressed.callback_query_id
        assert update.callback_query.data == "pressed"
        assert update.callback_query.message == message
        await update.callback_query.answer("well done")
        await update.callback_query.edit_message_text("pressed it")
        with pytest.raises(BadRequest, match="not modified"):
            await bot.edit_message_text("pressed it", CHAT, message.id)
    chat = sandbox.control.chat(BOT, CHAT)
    assert [shown["text"] for shown in chat.messages] == ["pressed it"]
    assert "reply_markup" not in chat.messages[0]
    assert [call.method for call in sandbox.control.sent(BOT)] == [
        "sendMessage",
        "answerCallbackQuery",
        "editMessageText",
    ]


async def test_reply_keyboards_come_and_go(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        await bot.send_message(CHAT, "choose", reply_markup=ReplyKeyboardMarkup([["yes", "no"]]))
        keyboard = sandbox.control.chat(BOT, CHAT).keyboard
        assert keyboard is not None
        assert keyboard["keyboard"] == [[{"text": "yes"}, {"text": "no"}]]
        await bot.send_message(CHAT, "thanks", reply_markup=ReplyKeyboardRemove())
        assert sandbox.control.chat(BOT, CHAT).keyboard is None
        once = ReplyKeyboardMarkup([["yes"]], one_time_keyboard=True)
        await bot.send_message(CHAT, "again", reply_markup=once)
        sandbox.control.send_messages(BOT, CHAT, "yes")
        assert sandbox.control.chat(BOT, CHAT).keyboard is None
        await bot.send_message(CHAT, "write", reply_markup=ForceReply())
        assert sandbox.control.chat(BOT, CHAT).keyboard == {"force_reply": True}


async def test_files_can_be_downloaded_again(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        message = await bot.send_document(CHAT, PICTURE, filename="picture.png", caption="see")
        assert message.document is not None
        assert (message.document.file_name, message.document.mime_type) == ("picture.png", "image/png")
        assert message.document.file_size == len(PICTURE)
        assert message.caption == "see"
        again = await bot.send_document(CHAT, message.document.file_id)
        file = await bot.get_file(again.document.file_id if again.document else "")
        assert bytes(await file.download_as_bytearray()) == PICTURE
    first = sandbox.control.sent(BOT)[0]
    assert first.params["document"] == {"file": "picture.png", "size": len(PICTURE)}
    assert first.params["chat_id"] == CHAT


async def test_albums_copies_and_forwards(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        album = await bot.send_media_group(CHAT, [InputMediaPhoto(PICTURE), InputMediaPhoto(b"other")])
        assert len({photo.media_group_id for photo in album}) == 1
        assert album[0].photo[-1].file_id != album[1].photo[-1].file_id
        copied = await bot.copy_message(CHAT + 1, CHAT, album[0].id, caption="a copy")
        forwarded = await bot.forward_message(CHAT + 1, CHAT, album[1].id)
        assert isinstance(forwarded.forward_origin, MessageOriginUser)
        assert forwarded.photo == album[1].photo
        several = await bot.copy_messages(CHAT + 2, CHAT, [album[0].id, 99, album[1].id])
    shown = sandbox.control.chat(BOT, CHAT + 1).messages
    assert [message["message_id"] for message in shown] == [copied.message_id, forwarded.id]
    assert shown[0]["caption"] == "a copy"
    assert len(several) == 2


async def test_deleted_messages_are_gone(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        first, second = [await bot.send_message(CHAT, text) for text in ("one", "two")]
        assert await first.delete()
        with pytest.raises(BadRequest, match="to delete not found"):
            await first.delete()
        await second.set_reaction(ReactionTypeEmoji("👍"))
    chat = sandbox.control.chat(BOT, CHAT)
    assert [(message["text"], message["bot_reactions"]) for message in chat.messages] == [("two", ["👍"])]


async def test_old_messages_that_are_forgotten_can_still_be_edited(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        first = await bot.send_message(CHAT, "first")
        sandbox.control.send_messages(BOT, CHAT, "{n}", count=300)
        assert await first.edit_text("changed")
    assert len(sandbox.control.chat(BOT, CHAT).messages) == 200


async def test_a_person_can_block_a_bot(sandbox: RunningSandbox) -> None:
    sandbox.control.block(BOT, CHAT)
    async with sandbox.client(BOT) as bot:
        with pytest.raises(Forbidden, match="bot was blocked by the user"):
            await bot.send_message(CHAT, "x")
        sandbox.control.block(BOT, CHAT, blocked=False)
        await bot.send_message(CHAT, "x")


async def test_strict_chats_are_those_that_somebody_wrote_from(sandbox: RunningSandbox) -> None:
    sandbox.control.set_limits(strict_chats=True)
    async with sandbox.client(BOT) as bot:
        with pytest.raises(BadRequest, match="Chat not found"):
            await bot.send_message(CHAT, "x")
        sandbox.control.send_messages(BOT, CHAT, "hello")
        await bot.send_message(CHAT, "x")


async def test_what_a_bot_says_of_itself_can_be_read_back(sandbox: RunningSandbox) -> None:
    sandbox.control.add_bot(sandbox.token(BOT), username="shop_bot", first_name="Shop")
    async with sandbox.client(BOT) as bot:
        assert (bot.username, bot.first_name) == ("shop_bot", "Shop")
        await bot.set_my_commands([("start", "Start")])
        assert [command.command for command in await bot.get_my_commands()] == ["start"]
        assert await bot.get_my_commands(language_code="de") == ()
        await bot.set_my_description("sells things")
        assert (await bot.get_my_description()).description == "sells things"
        with pytest.raises(BadRequest, match="Bot_command_invalid"):
            await bot.set_my_commands([("Not A Command", "x")])


async def test_commands_of_people_are_marked(sandbox: RunningSandbox) -> None:
    sandbox.control.send_messages(BOT, CHAT, "/start now")
    async with sandbox.client(BOT) as bot:
        (update,) = await bot.get_updates()
    assert update.message is not None
    assert list(update.message.parse_entities(["bot_command"]).values()) == ["/start"]
    assert update.effective_user is not None
    assert update.effective_user.id == CHAT


async def test_groups_have_a_writer_of_their_own(sandbox: RunningSandbox) -> None:
    sandbox.control.send_messages(BOT, -100, "in a group", user_id=8)
    sandbox.control.send_messages(BOT, -1_000_000_000_001, "in a supergroup")
    async with sandbox.client(BOT) as bot:
        group, supergroup = await bot.get_updates()
    assert group.effective_chat is not None
    assert supergroup.effective_chat is not None
    assert (group.effective_chat.type, supergroup.effective_chat.type) == ("group", "supergroup")
    assert group.effective_user is not None
    assert group.effective_user.id == 8
