"""Delivery to a webhook, against a real server in the test process."""

import asyncio

import pytest
from aiohttp import web

from tests.fixtures.sandbox import RunningSandbox
from tests.integration.sandbox.receiver import Gate, Received, Receiver
from tests.integration.sandbox.webhooks import BOT, info, is_drained, say, set_again, set_webhook, webhook_of
from tests.waiting import await_until, loop_turn


async def test_an_update_comes_as_telegram_sends_it(hasty: RunningSandbox, receiver: Receiver) -> None:
    answer = await set_webhook(hasty, receiver.url(), secret_token="s3cret-_", max_connections=7)
    assert answer == {"ok": True, "result": True, "description": "Webhook was set"}
    update_ids = await say(hasty, 7, "hello")
    await is_drained(hasty)
    (received,) = receiver.received
    assert received.update["update_id"] == update_ids[0]
    assert received.path == "/hook?a=%2F"
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["X-Telegram-Bot-Api-Secret-Token"] == "s3cret-_"
    assert received.headers["Host"] == "127.0.0.1"
    assert received.headers["Accept-Encoding"] == "gzip, deflate"
    assert "User-Agent" not in received.headers
    assert hasty.control.state(BOT).confirmed == 1
    assert webhook_of(hasty).has_secret
    assert "s3cret" not in str(hasty.control.world_state())


async def test_without_a_secret_there_is_no_header(hasty: RunningSandbox, receiver: Receiver) -> None:
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "hello")
    await is_drained(hasty)
    assert "X-Telegram-Bot-Api-Secret-Token" not in receiver.received[0].headers


async def test_what_waited_is_delivered_and_raw_bytes_as_they_are(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    raw = b'{"update_id":5,"message":\xff\xfe not json'
    hasty.control.inject_raw(BOT, raw, update_id=5)
    hasty.control.inject(BOT, [{"message": {"chat": {"id": 7}, "text": "\ud800"}}])
    await set_webhook(hasty, receiver.url())
    await is_drained(hasty)
    bodies = [received.body for received in receiver.received]
    assert raw in bodies
    assert any(b"\\ud800" in body for body in bodies)


async def test_one_chat_is_served_in_order_and_chats_side_by_side(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    open_chats: list[int] = []
    twice: list[int] = []

    async def answer(received: Received) -> web.Response:
        if received.chat in open_chats:
            twice.append(received.chat)
        open_chats.append(received.chat)
        # Others may come meanwhile; a second one of this chat must not.
        for _ in range(20):
            await loop_turn()
        open_chats.remove(received.chat)
        return web.Response()

    receiver.answer = answer
    for chat in (1, 2, 3, 4, 5):
        await say(hasty, chat, "{n}", 30)
    await set_webhook(hasty, receiver.url())
    await is_drained(hasty)
    assert twice == []
    for chat in (1, 2, 3, 4, 5):
        texts = [received.text for received in receiver.taken if received.chat == chat]
        assert texts == [str(number) for number in range(1, 31)]
    assert receiver.most_at_once > 1


async def test_chats_are_served_at_once_up_to_max_connections(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    await set_webhook(hasty, receiver.url(), max_connections=3)
    await say(hasty, 99, "first")
    await is_drained(hasty)
    gate = Gate()
    receiver.answer = gate.answer
    for chat in range(1, 9):
        await say(hasty, chat, "hello")
    await await_until(lambda: len(gate.waiting) == 3)
    state = webhook_of(hasty)
    assert (state.under_way, state.open_connections, state.pending) == (3, 3, 8)
    assert receiver.at_once == 3
    gate.open()
    await is_drained(hasty)
    assert receiver.most_at_once == 3
    assert len({received.peer for received in receiver.received}) <= 4


async def test_a_webhook_that_took_nothing_yet_gets_one_connection(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    gate = Gate()
    receiver.answer = gate.answer
    for chat in range(1, 9):
        await say(hasty, chat, "hello")
    await set_webhook(hasty, receiver.url())
    await await_until(lambda: gate.waiting)
    state = webhook_of(hasty)
    assert (state.under_way, state.open_connections) == (1, 1)
    gate.open()
    await is_drained(hasty)


async def test_from_webhook_to_polling_and_back_nothing_is_lost(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "one")
    await is_drained(hasty)
    gate = Gate()
    receiver.answer = gate.answer
    await say(hasty, 7, "two")
    await say(hasty, 7, "three")
    await await_until(lambda: gate.waiting)
    assert hasty.call(BOT, "deleteWebhook")[1]["description"] == "Webhook was deleted"
    assert (await info(hasty)) == {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": 2,
    }
    gate.open()
    await await_until(lambda: hasty.control.state(BOT).pending == 1)
    batch = hasty.call(BOT, "getUpdates", timeout=0)[1]["result"]
    assert [update["message"]["text"] for update in batch] == ["three"]
    assert receiver.taken_texts == ["one", "two"]
    await say(hasty, 7, "four")
    receiver.answer = lambda received: web.Response()
    await set_again(hasty, receiver.url())
    await is_drained(hasty)
    assert receiver.taken_texts == ["one", "two", "three", "four"]
    assert [update.state for update in hasty.control.updates(BOT)] == ["confirmed"] * 4


async def test_a_webhook_set_anew_waits_for_what_is_on_its_way(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    gate = Gate()
    receiver.answer = gate.answer
    await set_webhook(hasty, receiver.url(), secret_token="old")
    await say(hasty, 7, "{n}", 3)
    await await_until(lambda: gate.waiting)
    hasty.call(BOT, "deleteWebhook")
    receiver.answer = lambda received: web.Response()
    await set_again(hasty, receiver.url(), secret_token="new")
    await say(hasty, 8, "other chat")
    assert receiver.texts[:1] == ["1"]
    await await_until(lambda: "other chat" in receiver.taken_texts)
    assert "2" not in receiver.texts
    gate.open()
    await is_drained(hasty)
    assert [received.text for received in receiver.received if received.chat == 7] == ["1", "2", "3"]
    secrets = [received.headers["X-Telegram-Bot-Api-Secret-Token"] for received in receiver.received]
    assert secrets == ["old", "new", "new", "new"]


async def test_changed_terms_take_effect(hasty: RunningSandbox, receiver: Receiver) -> None:
    await set_webhook(hasty, receiver.url(), secret_token="old")
    same = await set_again(hasty, receiver.url(), secret_token="old")
    assert same["description"] == "Webhook is already set"
    changed = await set_again(
        hasty, receiver.url(), secret_token="new", max_connections=2, allowed_updates=["message"]
    )
    assert changed["description"] == "Webhook was set"
    await say(hasty, 7, "hello")
    await is_drained(hasty)
    assert receiver.received[0].headers["X-Telegram-Bot-Api-Secret-Token"] == "new"
    told = await info(hasty)
    assert (told["max_connections"], told["allowed_updates"]) == (2, ["message"])


async def test_an_error_is_forgotten_when_a_webhook_is_set_and_not_by_a_success(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    answers = [web.Response(status=500)]
    receiver.answer = lambda received: answers.pop() if answers else web.Response()
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "hello")
    await is_drained(hasty)
    assert "last_error_message" in await info(hasty)
    same = await set_again(hasty, receiver.url())
    assert same["description"] == "Webhook is already set"
    assert "last_error_message" in await info(hasty)
    await set_again(hasty, receiver.url(), max_connections=3)
    assert "last_error_message" not in await info(hasty)


async def test_pending_updates_can_be_dropped(hasty: RunningSandbox, receiver: Receiver) -> None:
    await say(hasty, 7, "old")
    await set_webhook(hasty, receiver.url(), drop_pending_updates=True)
    await say(hasty, 7, "new")
    await is_drained(hasty)
    assert receiver.texts == ["new"]


async def test_an_answer_can_call_a_method(hasty: RunningSandbox, receiver: Receiver) -> None:
    def answer(received: Received) -> web.Response:
        if received.text == "json":
            return web.json_response({"method": "SendMessage", "chat_id": 7, "text": "as JSON"})
        if received.text == "form":
            return web.Response(
                body=b"method=sendMessage&chat_id=7&text=as+a+form",
                content_type="application/x-www-form-urlencoded",
            )
        if received.text == "refused":
            return web.json_response({"method": "deleteWebhook"})
        if received.text == "wrong":
            return web.json_response({"method": "sendMessage", "chat_id": "nobody"})
        return web.json_response(["no call"])

    receiver.answer = answer
    await set_webhook(hasty, receiver.url())
    for text in ("refused", "wrong", "no call", "json", "form"):
        await say(hasty, 7, text)
    sent = await asyncio.to_thread(hasty.control.sent, BOT, count=2, wait_s=20)
    assert [call.params["text"] for call in sent] == ["as JSON", "as a form"]
    await is_drained(hasty)
    assert (await info(hasty))["url"] == receiver.url()


async def test_names_of_this_machine_and_a_given_address(hasty: RunningSandbox, receiver: Receiver) -> None:
    await set_webhook(hasty, receiver.url(host="bots.localhost"))
    await say(hasty, 7, "by name")
    await is_drained(hasty)
    assert receiver.received[0].headers["Host"] == "bots.localhost"
    assert (await info(hasty))["ip_address"] == "127.0.0.1"
    await set_again(hasty, "https://bots.example.com:8443/hook", ip_address="127.0.0.1")
    assert (await info(hasty))["ip_address"] == "127.0.0.1"


async def test_a_reset_forgets_what_is_on_its_way(hasty: RunningSandbox, receiver: Receiver) -> None:
    gate = Gate()
    receiver.answer = gate.answer
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "old")
    await await_until(lambda: gate.waiting)
    hasty.control.reset()
    await await_until(lambda: receiver.at_once == 0, what="the request was given up")
    receiver.answer = lambda received: web.Response()
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "new")
    await is_drained(hasty)
    assert receiver.texts == ["old", "new"]


async def test_the_page_shows_that_a_bot_with_a_webhook_listens(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    await set_webhook(hasty, receiver.url())
    assert [(bot.polling, bot.webhook) for bot in hasty.control.bots()] == [(False, True)]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"url": "ftp://x"}, "invalid webhook URL specified"),
        ({"url": "http://example.com"}, "bad webhook: An HTTPS URL must be provided for webhook"),
        (
            {"url": "https://example.com:8444"},
            "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443",
        ),
        ({"secret_token": "no spaces"}, "secret token contains unallowed characters"),
        ({"secret_token": "x" * 257}, "secret token is too long"),
        ({"ip_address": "somewhere"}, "bad webhook: Invalid IP address specified"),
    ],
)
def test_what_is_refused_and_how(hasty: RunningSandbox, params: dict[str, object], words: str) -> None:
    status, answer = hasty.call(BOT, "setWebhook", **{"url": "https://example.com", **params})
    assert (status, answer["description"]) == (400, f"Bad Request: {words}")
    assert hasty.control.state(BOT).webhook is None
