"""Each scripted fault, as a client meets it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from telegram.error import BadRequest, Conflict, Forbidden, NetworkError, RetryAfter, TimedOut

from sandbox.calls import SandboxError
from tests.fixtures.sandbox import RunningSandbox
from tests.waiting import await_until

#: The client says so whenever it reads a retry_after.
pytestmark = pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")

BOT = 1001


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def send(http: aiohttp.ClientSession, sandbox: RunningSandbox, text: str = "hi") -> tuple[int, Any]:
    body = {"chat_id": 7, "text": text}
    async with http.post(sandbox.api_url(BOT, "sendMessage"), json=body) as response:
        raw = await response.read()
        return response.status, await response.json() if response.content_type == "application/json" else raw


def fired(sandbox: RunningSandbox) -> list[int]:
    return [fault.fired for fault in sandbox.control.faults()]


async def test_retry_after_is_said_in_body_and_header(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("retry_after", bot=BOT, method="sendMessage", seconds=17, count=2)
    async with http.post(sandbox.api_url(BOT, "sendMessage"), json={"chat_id": 7, "text": "x"}) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "17"
        body = await response.json()
    assert body["description"] == "Too Many Requests: retry after 17"
    async with sandbox.client(BOT) as bot:
        with pytest.raises(RetryAfter) as raised:
            await bot.send_message(7, "x")
        assert raised.value.retry_after == 17
        await bot.send_message(7, "x")
    assert fired(sandbox) == [2]
    assert len(sandbox.control.sent(BOT)) == 1


@pytest.mark.parametrize(
    ("status", "error"), [(500, NetworkError), (502, NetworkError), (403, Forbidden), (400, BadRequest)]
)
async def test_statuses(sandbox: RunningSandbox, status: int, error: type[Exception]) -> None:
    sandbox.control.add_fault("status", method="getChat", status=status)
    async with sandbox.client(BOT) as bot:
        with pytest.raises(error):
            await bot.get_chat(7)
        await bot.get_chat(7)


async def test_a_status_has_the_words_and_headers_it_is_given(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault(
        "status", status=403, description="Forbidden: bot was kicked", headers={"X-Made-Up": "1"}
    )
    async with http.get(sandbox.api_url(BOT, "getMe")) as response:
        assert response.headers["X-Made-Up"] == "1"
        assert (await response.json())["description"] == "Forbidden: bot was kicked"


async def test_a_storm_of_conflicts_lasts_until_it_is_cleared(sandbox: RunningSandbox) -> None:
    fault = sandbox.control.add_fault("conflict", method="getUpdates", count=-1)
    async with sandbox.client(BOT) as bot:
        for _ in range(3):
            with pytest.raises(Conflict, match="terminated by other getUpdates"):
                await bot.get_updates()
        sandbox.control.remove_fault(fault.id)
        assert await bot.get_updates() == ()


async def test_a_reset_connection(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("reset", method="sendMessage", count=-1)
    host, port = sandbox.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /bot{sandbox.token(BOT)}/sendMessage HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with pytest.raises(aiohttp.ClientError):
        await send(http, sandbox)
    assert sandbox.control.sent(BOT) == []


async def test_a_reset_after_the_message_was_sent(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("reset", method="sendMessage", applied=True)
    with pytest.raises(aiohttp.ClientError):
        await send(http, sandbox, "sent all the same")
    assert [call.params["text"] for call in sandbox.control.sent(BOT)] == ["sent all the same"]


async def test_a_hang_lasts_until_the_client_gives_up(sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("hang", method="sendMessage")
    async with sandbox.client(BOT) as bot:
        with pytest.raises(TimedOut):
            await bot.send_message(7, "never sent", read_timeout=0.3)
    assert sandbox.control.sent(BOT) == []


async def test_a_hang_after_the_message_was_sent(sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("hang", method="sendMessage", applied=True)
    async with sandbox.client(BOT) as bot:
        with pytest.raises(TimedOut):
            await bot.send_message(7, "sent", read_timeout=0.3)
    assert len(sandbox.control.sent(BOT, wait_s=10)) == 1


async def test_a_hang_of_some_seconds_is_a_slow_answer(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("hang", method="sendMessage", seconds=0.1)
    status, answer = await send(http, sandbox)
    assert (status, answer["result"]["text"]) == (200, "hi")


async def test_a_drip_is_the_right_answer_in_pieces(
    http: aiohttp.ClientSession, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("drip", method="sendMessage", seconds=0.5)
    url = sandbox.api_url(BOT, "sendMessage")
    async with http.post(url, json={"chat_id": 7, "text": "slow"}) as response:
        pieces = [piece async for piece, _ in response.content.iter_chunks()]
    assert len(pieces) > 1
    assert b'"slow"' in b"".join(pieces)


async def test_a_truncated_answer(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("truncate", method="sendMessage")
    with pytest.raises(aiohttp.ClientPayloadError):
        await send(http, sandbox)
    assert len(sandbox.control.sent(BOT)) == 1


async def test_garbage_is_no_json(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("garbage", method="getMe")
    async with http.get(sandbox.api_url(BOT, "getMe")) as response:
        assert response.status == 200
        with pytest.raises(ValueError):
            await response.json()


async def test_a_half_open_connection_says_nothing_and_hears_nothing(sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("half_open", bot=BOT, method="getUpdates")
    host, port = sandbox.base_url.removeprefix("http://").split(":")
    request = f"GET /bot{sandbox.token(BOT)}/getUpdates HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request)
        await await_until(lambda: fired(sandbox) == [1])
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert sandbox.control.state(BOT).calls == {}


async def test_faults_are_for_their_bot(http: aiohttp.ClientSession, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("status", bot=BOT + 1, count=-1)
    assert (await send(http, sandbox))[0] == 200
    sandbox.control.clear_faults()
    assert sandbox.control.faults() == []


def test_a_fault_that_is_none_is_refused(sandbox: RunningSandbox) -> None:
    with pytest.raises(SandboxError, match="Invalid enum value 'explode'"):
        sandbox.control.add_fault("explode")
