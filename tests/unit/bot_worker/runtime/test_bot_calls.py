"""Whose token a Bot gets, and which calls never leave."""

import json

import pytest
from telegram import Bot

from bot_worker.runtime.bot_calls import BotCalls, changes_something
from bot_worker.runtime.notices import Notices
from bot_worker.runtime.tracker import Entry, current_entry
from brama.messages import Notice
from tests.unit.bot_worker.runtime.fakes import FakeChannel

MAIN = "1001:" + "M" * 35
OTHER = "2002:" + "O" * 35
ALERT = "3003:" + "A" * 35
URL = "https://api.example"


def some_calls(identity: bytes = b'{"id": 1001}') -> BotCalls:
    return BotCalls(MAIN, URL + "/", identity, Notices(FakeChannel()))


def made(calls: BotCalls, token: object) -> Bot:
    """Return a Bot as the patched constructor makes it."""
    bot = Bot(*calls.arguments(token))
    calls.made(bot)
    return bot


@pytest.mark.parametrize("token", [None, "", "YOUR TOKEN", "123:short", 5, MAIN])
def test_what_is_no_token_becomes_the_supervisors(token):
    bot = made(some_calls(), token)
    assert bot.token == MAIN
    assert bot.base_url == f"{URL}/bot{MAIN}"
    assert bot.base_file_url == f"{URL}/file/bot{MAIN}"


def test_another_token_stays_until_its_bot_is_polled_with():
    calls = some_calls()
    early, polled, alert = made(calls, OTHER), made(calls, OTHER), made(calls, ALERT)
    assert early.token == OTHER
    assert early.base_url == f"{URL}/bot{OTHER}"
    calls.adopt(polled)
    late = made(calls, OTHER)
    assert [bot.token for bot in (early, polled, late, alert)] == [MAIN, MAIN, MAIN, ALERT]
    assert early.base_url == f"{URL}/bot{MAIN}"
    calls.adopt(polled)


def test_only_the_first_application_is_adopted_before_one_polls():
    calls = some_calls()
    first, second = made(calls, OTHER), made(calls, ALERT)
    calls.adopt_first(first)
    calls.adopt_first(second)
    assert (first.token, second.token) == (MAIN, ALERT)


def test_no_application_is_adopted_before_one_polls_if_the_script_knows_the_token():
    calls = some_calls()
    made(calls, MAIN)
    alert = made(calls, ALERT)
    calls.adopt_first(alert)
    assert alert.token == ALERT


async def network(bot: Bot, endpoint: str, data: dict[str, object]) -> object:
    """Answer as the Bot API would."""
    return f"network {endpoint}"


async def test_get_me_is_known_until_the_bot_serves():
    calls = some_calls(json.dumps({"id": 1001, "first_name": "x"}).encode())
    bot = made(calls, MAIN)
    assert await calls.post(network, bot, "getMe", {}) == {"id": 1001, "first_name": "x"}
    calls.serving = True
    assert await calls.post(network, bot, "getMe", {}) == "network getMe"


async def test_an_identity_that_the_master_does_not_know_is_asked_for():
    calls = some_calls(b"")
    assert await calls.post(network, made(calls, MAIN), "getMe", {}) == "network getMe"


async def test_calls_that_disturb_ingress_are_answered_here():
    channel = FakeChannel()
    calls = BotCalls(MAIN, URL, b"{}", Notices(channel))
    bot = made(calls, MAIN)
    for endpoint in ("setWebhook", "SetWebhook", "deleteWebhook", "close", "logOut"):
        data = {"url": "https://x.example", "drop_pending_updates": True}
        assert await calls.post(network, bot, endpoint, data) is True
    said = [message.code for message in channel.sent if isinstance(message, Notice)]
    assert said == ["set_webhook", "drop_pending_updates", "delete_webhook", "close", "log_out"]
    info = await calls.post(network, bot, "getWebhookInfo", {})
    assert info == {"url": "", "has_custom_certificate": False, "pending_update_count": 0}


async def test_other_bots_do_as_they_like():
    calls = some_calls()
    assert await calls.post(network, made(calls, ALERT), "setWebhook", {}) == "network setWebhook"


async def test_a_write_is_noted_for_the_update_it_was_made_for():
    calls = some_calls()
    entry = Entry(1, None)
    token = current_entry.set(entry)
    try:
        for endpoint in ("getChat", "sendChatAction", "getFile"):
            await calls.post(network, made(calls, MAIN), endpoint, {})
        assert not entry.wrote
        await calls.post(network, made(calls, MAIN), "answerCallbackQuery", {})
        assert entry.wrote
    finally:
        current_entry.reset(token)


def test_what_changes_something():
    assert changes_something("sendMessage")
    assert not changes_something("GetMe")
