"""One post of a callback: where it connects to, and what it takes for an answer."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jobs.errors import PermanentError, RetryableError
from jobs.llm import callback_sender
from jobs.llm.callback_sender import CallbackSender
from jobs.llm.payloads import CallbackPayload
from jobs.llm.terms import BackendTerms
from tests.ports import free_port
from tests.waiting import loop_turn


class Names:
    """A name server whose answers change."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int, family: int) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0)


class Listener:
    """A server that answers every connection with the same bytes and remembers what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.heard: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        if not self._answer:
            await reader.read()
        writer.close()


@asynccontextmanager
async def listening(answer: bytes, port: int, host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    listener = Listener(answer)
    server = await asyncio.start_server(listener.serve, host, port)
    try:
        yield listener
    finally:
        server.close()
        for writer in listener.writers:
            writer.transport.abort()
        await loop_turn()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def send(url: str, names: Names | None = None, *hosts: str) -> None:
    sender = CallbackSender(BackendTerms(callback_hosts=hosts, api_keys=("key",)), names)
    callback = CallbackPayload(task_id="t", callback_url=url, status="failed", error="x")
    await sender.send(callback, "delivery")


async def test_a_name_that_turns_elsewhere_after_the_check_changes_nothing():
    port = free_port()
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with listening(OK, port) as checked, listening(OK, port, "127.0.0.2") as other:
        await send(f"http://backend.example:{port}/x", names, f"backend.example:{port}")
        assert names.asked == ["backend.example"]
        assert len(checked.heard) == 1
        assert f"Host: backend.example:{port}".encode() in checked.heard[0]
        assert other.heard == []


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "::ffff:169.254.169.254", "224.0.0.1"])
async def test_a_name_that_leads_where_no_backend_is_is_not_connected_to(address: str):
    port = free_port()
    async with listening(OK, port, "0.0.0.0") as listener:
        names = Names(["127.0.0.1", address])
        with pytest.raises(RetryableError, match=r"backend\.example leads to .*, which is not called back"):
            await send(f"http://backend.example:{port}/x", names, f"backend.example:{port}")
        assert listener.heard == []


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://127.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://localhost:{port}/",
        "http://127.0.0.1.:{port}/",
        "http://127.0.0.1:{port}/#x",
        "http://127.0.0.2:{port}/",
    ],
)
async def test_an_address_that_is_not_on_the_list_is_not_connected_to(url: str):
    port = free_port()
    async with listening(OK, port, "0.0.0.0") as listener:
        with pytest.raises(PermanentError, match="callbackUrl: "):
            await send(url.format(port=port), None, f"127.0.0.1:{port}")
        assert listener.heard == []


async def test_a_redirect_to_another_server_is_not_followed():
    first, second = free_port(), free_port()
    away = f"HTTP/1.1 308 Elsewhere\r\nLocation: http://127.0.0.1:{second}/\r\nContent-Length: 0\r\n\r\n"
    hosts = (f"127.0.0.1:{first}", f"127.0.0.1:{second}")
    async with listening(away.encode(), first), listening(OK, second) as other:
        with pytest.raises(RetryableError, match="answered 308; redirects are not followed"):
            await send(f"http://127.0.0.1:{first}/", None, *hosts)
        assert other.heard == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "the backend answered 500"),
        (b"nothing like HTTP\r\n\r\n", "the backend cannot be reached: ClientResponseError"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "the backend cannot be reached: ClientPayloadError",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "the backend cannot be reached"),
    ],
)
async def test_an_answer_that_is_none_is_no_delivery(answer: bytes, error: str):
    port = free_port()
    async with listening(answer, port):
        with pytest.raises(RetryableError, match=error):
            await send(f"http://127.0.0.1:{port}/", None, f"127.0.0.1:{port}")


async def test_of_an_endless_answer_little_is_read():
    port = free_port()
    bomb = gzip.compress(b"x" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb) * 1000}\r\n\r\n"
    async with listening(head.encode() + bomb, port):
        await send(f"http://127.0.0.1:{port}/", None, f"127.0.0.1:{port}")


async def test_a_backend_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(callback_sender, "POST_S", 0.2)
    port = free_port()
    async with listening(b"", port):
        with pytest.raises(RetryableError, match=r"took longer than 0\.2 s"):
            await send(f"http://127.0.0.1:{port}/", None, f"127.0.0.1:{port}")


async def test_a_backend_that_is_not_there_is_named_by_no_address():
    port = free_port()
    with pytest.raises(RetryableError, match="ConnectionRefusedError") as caught:
        await send(f"http://127.0.0.1:{port}/secret-path", None, f"127.0.0.1:{port}")
    assert "secret-path" not in str(caught.value)
