"""Delivery to a webhook that does not take an update, or cannot be reached."""

import asyncio

import pytest
from aiohttp import web

from tests.fixtures.sandbox import RunningSandbox
from tests.integration.sandbox.receiver import Gate, Received, Receiver, listening
from tests.integration.sandbox.webhooks import BOT, info, is_drained, say, set_webhook, webhook_of
from tests.waiting import await_until


async def test_a_failing_update_is_tried_again_and_holds_back_its_chat_alone(
    hasty: RunningSandbox, receiver: Receiver
) -> None:
    failing = True

    def answer(received: Received) -> web.Response:
        return web.Response(status=503 if received.chat == 1 and failing else 204)

    receiver.answer = answer
    await set_webhook(hasty, receiver.url())
    await say(hasty, 2, "before")
    await is_drained(hasty)
    await say(hasty, 1, "bad {n}", 3)
    await say(hasty, 2, "good {n}", 5)
    await await_until(lambda: len(receiver.taken) == 6)
    await await_until(lambda: receiver.texts.count("bad 1") >= 4)
    assert "bad 2" not in receiver.texts
    assert (await info(hasty))["pending_update_count"] == 3
    failing = False
    await is_drained(hasty)
    taken = [text for text in receiver.taken_texts if text.startswith("bad")]
    assert taken == ["bad 1", "bad 2", "bad 3"]
    first = hasty.control.updates(BOT)[1]
    assert (first.state, first.served) == ("confirmed", receiver.texts.count("bad 1"))
    told = await info(hasty)
    assert told["last_error_message"] == "Wrong response from the webhook: 503 Service Unavailable"
    assert told["last_error_date"] > 0
    assert told["pending_update_count"] == 0


async def test_retry_after_takes_the_place_of_the_pause(hasty: RunningSandbox, receiver: Receiver) -> None:
    hasty.control.set_limits(webhook_pause_scale=1.0)

    def answer(received: Received) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    receiver.answer = answer
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "hello")
    await await_until(lambda: webhook_of(hasty).failed == 1)
    # An update that failed once is otherwise sent again at once; this one waits for an hour, others do not.
    receiver.answer = lambda received: web.Response()
    await say(hasty, 8, "other")
    await await_until(lambda: receiver.taken_texts == ["other"])
    assert receiver.texts == ["hello", "other"]
    assert (await info(hasty))["last_error_message"] == (
        "Wrong response from the webhook: 429 Too Many Requests"
    )


async def test_retry_after_is_scaled_and_over(hasty: RunningSandbox, receiver: Receiver) -> None:
    answers = [web.Response(status=503, headers={"Retry-After": "5"}), web.Response()]
    receiver.answer = lambda received: answers.pop(0)
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "hello")
    await is_drained(hasty)
    assert receiver.texts == ["hello", "hello"]


async def test_a_redirect_is_a_failure_and_is_not_followed(hasty: RunningSandbox, receiver: Receiver) -> None:
    answers = [web.Response(status=302, headers={"Location": receiver.url() + "&moved=1"}), web.Response()]
    receiver.answer = lambda received: answers.pop(0)
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "hello")
    await is_drained(hasty)
    assert [received.path for received in receiver.received] == ["/hook?a=%2F"] * 2
    assert (await info(hasty))["last_error_message"] == "Wrong response from the webhook: 302 Found"


async def test_no_answer_in_time_is_a_failure(hasty: RunningSandbox, receiver: Receiver) -> None:
    hasty.control.set_limits(webhook_response_limit_s=0.2)
    gate = Gate()
    receiver.answer = gate.answer
    await set_webhook(hasty, receiver.url())
    await say(hasty, 7, "hello")
    await await_until(lambda: len(gate.waiting) >= 2)
    assert (await info(hasty))["last_error_message"] == "Read timeout expired"
    hasty.control.set_limits(webhook_response_limit_s=60)
    gate.open()
    receiver.answer = lambda received: web.Response()
    await is_drained(hasty)


async def test_nobody_there_is_said_and_got_over(hasty: RunningSandbox) -> None:
    async with listening() as gone:
        url, port = gone.url(), gone.port
    await set_webhook(hasty, url)
    await say(hasty, 7, "{n}", 2)
    await await_until(lambda: webhook_of(hasty).failed >= 3)
    told = await info(hasty)
    assert (told["last_error_message"], told["ip_address"]) == ("Connection refused", "127.0.0.1")
    assert told["pending_update_count"] == 2
    back = Receiver(port=port)
    app = web.Application()
    app.router.add_post("/hook", back.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        await is_drained(hasty)
    finally:
        await runner.cleanup()
    assert back.taken_texts == ["1", "2"]


@pytest.mark.parametrize("whose", [BOT, None])
async def test_a_blocked_network_times_out_without_a_request(
    hasty: RunningSandbox, receiver: Receiver, whose: int | None
) -> None:
    hasty.control.block_webhook(whose)
    await set_webhook(hasty, receiver.url())
    await set_webhook(hasty, receiver.url(), bot=BOT + 1)
    await say(hasty, 7, "cut")
    await say(hasty, 7, "other bot", bot=BOT + 1)
    await await_until(lambda: webhook_of(hasty).failed >= 3)
    assert (await info(hasty))["last_error_message"] == "Connection timed out"
    assert "cut" not in receiver.texts
    if whose is not None:
        await is_drained(hasty, BOT + 1)
        assert receiver.texts == ["other bot"]
    hasty.control.block_webhook(whose, blocked=False)
    await is_drained(hasty)
    await is_drained(hasty, BOT + 1)
    assert sorted(receiver.texts) == ["cut", "other bot"]


async def test_an_update_that_would_be_too_late_is_dropped(hasty: RunningSandbox, receiver: Receiver) -> None:
    hasty.control.set_limits(webhook_pause_scale=1.0)
    receiver.answer = lambda received: web.Response(status=503, headers={"Retry-After": "200"})
    await set_webhook(hasty, receiver.url())
    hasty.control.press_button(BOT, chat_id=7, message_id=1, data="x")
    await await_until(lambda: [update.state for update in hasty.control.updates(BOT)] == ["expired"])


async def test_another_machine_is_not_reached(hasty: RunningSandbox) -> None:
    # An address for documentation, which is nobody's.
    await set_webhook(hasty, "https://bots.example.com/hook", ip_address="192.0.2.1")
    await say(hasty, 7, "hello")
    await await_until(lambda: webhook_of(hasty).failed >= 1)
    told = await info(hasty)
    assert told["last_error_message"] == (
        "the sandbox delivers to this machine only, which 192.0.2.1 is not; --any-host lifts that"
    )
    assert told["pending_update_count"] == 1


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"what\r\n\r\n"])
async def test_an_answer_that_is_none_is_a_failure(hasty: RunningSandbox, said: bytes) -> None:
    rest: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        rest.append(await reader.readexactly(length))
        writer.write(said if len(rest) == 1 else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await set_webhook(hasty, f"http://127.0.0.1:{port}/")
        await say(hasty, 7, "hello")
        await is_drained(hasty)
    words = "Wrong response from the webhook" if said.startswith(b"what") else "Webhook connection closed"
    assert (await info(hasty))["last_error_message"] == words
    assert rest[0] == rest[1]
