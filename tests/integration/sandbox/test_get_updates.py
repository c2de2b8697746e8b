"""getUpdates over HTTP: long polls, conflicts, kinds."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from telegram.error import Conflict, RetryAfter

from tests.fixtures.sandbox import RunningSandbox
from tests.waiting import await_until

#: The client says so whenever it reads a retry_after.
pytestmark = pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")

BOT = 1001
OTHER = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; "
    "use deleteWebhook to delete the webhook first"
)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def poll(
    http: aiohttp.ClientSession, sandbox: RunningSandbox, **params: Any
) -> tuple[int, dict[str, Any]]:
    async with http.post(sandbox.api_url(BOT, "getUpdates"), json=params) as response:
        return response.status, await response.json()


async def is_polling(sandbox: RunningSandbox, count: int = 1) -> None:
    await await_until(lambda: sandbox.control.state(BOT).open_polls == count)


async def test_a_long_poll_ends_when_an_update_comes(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    waiting = asyncio.create_task(poll(http, sandbox, timeout=50))
    await is_polling(sandbox)
    written = sandbox.control.send_messages(BOT, chat_id=7, text="hello")
    _, answer = await waiting
    assert [update["update_id"] for update in answer["result"]] == written.update_ids


async def test_a_long_poll_ends_with_nothing_when_its_time_is_over(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    assert await poll(http, sandbox, timeout=1) == (200, {"ok": True, "result": []})


async def test_a_second_poller_ends_the_first(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    first = asyncio.create_task(poll(http, sandbox, timeout=50))
    await is_polling(sandbox)
    second = asyncio.create_task(poll(http, sandbox, timeout=50))
    assert await first == (409, {"ok": False, "error_code": 409, "description": OTHER})
    sandbox.control.send_messages(BOT, chat_id=7, text="hello")
    status, answer = await second
    assert status == 200
    assert len(answer["result"]) == 1


async def test_a_second_poll_that_does_not_wait_ends_nothing(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    first = asyncio.create_task(poll(http, sandbox, timeout=50))
    await is_polling(sandbox)
    assert await poll(http, sandbox, timeout=0, offset=-1) == (200, {"ok": True, "result": []})
    assert sandbox.control.state(BOT).open_polls == 1
    sandbox.control.send_messages(BOT, chat_id=7, text="hello")
    assert (await first)[0] == 200


async def test_a_webhook_ends_the_poll_and_forbids_the_next(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    waiting = asyncio.create_task(poll(http, sandbox, timeout=50))
    await is_polling(sandbox)
    async with sandbox.client(BOT) as bot:
        assert await bot.set_webhook(
            "https://bots.example.com/hook",
            secret_token="s3cret",
            max_connections=7,
            # A name would be looked up, and nobody listens here.
            ip_address="127.0.0.1",
        )
        status, answer = await waiting
        assert (status, answer["description"]) == (409, "Conflict: terminated by setWebhook request")
        with pytest.raises(RetryAfter):
            await bot.set_webhook("https://bots.example.com/other")
        sandbox.control.send_messages(BOT, chat_id=7, text="hello")
        info = await bot.get_webhook_info()
        assert (info.url, info.max_connections) == ("https://bots.example.com/hook", 7)
        assert info.pending_update_count == 1
        assert await bot.delete_webhook()
        assert len(await bot.get_updates()) == 1
        assert await bot.delete_webhook(drop_pending_updates=True)
    assert sandbox.control.state(BOT).pending == 0


async def test_no_polling_while_a_webhook_is_set(sandbox: RunningSandbox) -> None:
    async with sandbox.client(BOT) as bot:
        await bot.set_webhook("https://bots.example.com/hook")
        with pytest.raises(Conflict) as raised:
            await bot.get_updates()
    assert raised.value.message == ACTIVE


async def test_a_client_that_hangs_up_is_noticed(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    waiting = asyncio.create_task(poll(http, sandbox, timeout=50))
    await is_polling(sandbox)
    waiting.cancel()
    await is_polling(sandbox, 0)
    sandbox.control.send_messages(BOT, chat_id=7, text="hello")
    _, answer = await poll(http, sandbox, timeout=50)
    assert len(answer["result"]) == 1


async def test_kinds_not_asked_for_are_never_queued(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    await poll(http, sandbox, allowed_updates=["callback_query"])
    assert sandbox.control.send_messages(BOT, chat_id=7, text="hello").update_ids == []
    pressed = sandbox.control.press_button(BOT, chat_id=7, message_id=1, data="x")
    _, answer = await poll(http, sandbox, offset=1)
    assert [update["update_id"] for update in answer["result"]] == pressed.update_ids
    assert sandbox.control.state(BOT).allowed_updates == ["callback_query"]
    await poll(http, sandbox, offset=2, allowed_updates=[])
    assert len(sandbox.control.send_messages(BOT, chat_id=7, text="hello").update_ids) == 1


async def test_updates_expire(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    sandbox.control.set_limits(update_ttl_s=0.01)
    sandbox.control.send_messages(BOT, chat_id=7, text="late")
    await await_until(lambda: sandbox.control.state(BOT).expired == 1)
    assert (await poll(http, sandbox))[1]["result"] == []
    assert [update.state for update in sandbox.control.updates(BOT)] == ["expired"]


async def test_a_repeated_offset_gets_one_update(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.send_messages(BOT, chat_id=7, text="{n}", count=3)
    assert len((await poll(http, sandbox, timeout=50))[1]["result"]) == 3
    repeated = (await poll(http, sandbox, timeout=50))[1]["result"]
    # Half a second may have passed on a slow machine; then the whole batch is right.
    assert len(repeated) in (1, 3)


async def test_two_tokens_of_one_id_share_its_queue(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.send_messages(BOT, chat_id=7, text="hello")
    sandbox.control.add_bot(sandbox.token(BOT))
    sandbox.control.revoke(BOT)
    assert (await poll(http, sandbox))[0] == 401
    rotated = f"{sandbox.base_url}/bot{sandbox.token(BOT)}rotated/getUpdates"
    async with http.get(rotated) as response:
        assert len((await response.json())["result"]) == 1
    sandbox.control.restore(BOT)
    assert (await poll(http, sandbox))[0] == 200


@pytest.mark.parametrize(
    ("request_kind", "body"),
    [
        ("query", {"params": {"timeout": "0", "limit": "1"}}),
        ("form", {"data": {"timeout": "0", "limit": "1"}}),
        ("json", {"json": {"timeout": 0, "limit": 1}}),
        ("json text", {"json": {"timeout": "0", "limit": "1"}}),
    ],
)
async def test_parameters_come_in_many_ways(
    http: aiohttp.ClientSession, sandbox: RunningSandbox, request_kind: str, body: dict[str, Any]
) -> None:
    sandbox.control.send_messages(BOT, chat_id=7, text="{n}", count=2)
    async with http.post(sandbox.api_url(BOT, "getUpdates"), **body) as response:
        assert len((await response.json())["result"]) == 1


async def test_raw_elements_are_served_verbatim_in_their_place(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    first = sandbox.control.send_messages(BOT, chat_id=7, text="before").update_ids[0]
    raw = b'{"update_id":%d,"message":\xff\xfe not json' % (first + 1)
    assert sandbox.control.inject_raw(BOT, raw).update_ids == [first + 1]
    last = sandbox.control.send_messages(BOT, chat_id=7, text="after").update_ids[0]
    assert last == first + 2
    async with http.get(sandbox.api_url(BOT, "getUpdates")) as response:
        body = await response.read()
    assert b'"before"' in body.partition(raw)[0]
    assert b'"after"' in body.partition(raw)[2]
    await poll(http, sandbox, offset=last)
    assert [update.confirmed for update in sandbox.control.updates(BOT)] == [True, True, False]


async def test_lone_surrogates_and_deep_objects_are_injected_as_they_are(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.inject(BOT, [{"message": {"text": "\ud800", "big": 2**80}}])
    deep = b'{"update_id":5,"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    sandbox.control.inject_raw(BOT, deep, update_id=5)
    async with http.get(sandbox.api_url(BOT, "getUpdates")) as response:
        body = await response.read()
    assert b"\\ud800" in body
    assert str(2**80).encode() in body
    assert deep in body


async def test_update_ids_can_restart(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    sandbox.control.send_messages(BOT, chat_id=7, text="old")
    last = (await poll(http, sandbox))[1]["result"][-1]["update_id"]
    await poll(http, sandbox, offset=last + 1, timeout=1)
    sandbox.control.add_bot(sandbox.token(BOT), first_update_id=10)
    assert sandbox.control.send_messages(BOT, chat_id=7, text="new").update_ids == [10]
    assert [update["update_id"] for update in (await poll(http, sandbox, offset=last + 1))[1]["result"]] == [
        10
    ]


async def test_new_tokens_can_be_limited(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    sandbox.control.set_limits(new_tokens_per_minute=2)
    answers = []
    for number in (1, 2, 3, 1):
        async with http.get(sandbox.api_url(number, "getMe")) as response:
            answers.append((response.status, (await response.json()).get("parameters")))
    assert [status for status, _ in answers] == [200, 200, 429, 200]
    assert 1 <= answers[2][1]["retry_after"] <= 60
