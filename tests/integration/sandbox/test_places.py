"""Which machine a webhook's host is, and what is said of the ways to fail to reach it."""

import asyncio
import errno
import socket
import ssl
from typing import Any

import aiohttp
import pytest

from sandbox.api import dispatch
from sandbox.api.replying import Replies
from sandbox.state.world import World
from sandbox.webhooks.places import UnreachableError, find
from sandbox.webhooks.words import ssl_words, words_for

#: For documentation; nobody's.
ELSEWHERE = "192.0.2.1"


def look_up(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> list[str]:
    """Have names looked up here; returns those that were."""
    names: list[str] = []

    async def getaddrinfo(host: str, port: int, **kinds: int) -> list[Any]:
        names.append(host)
        assert kinds["family"] == socket.AF_INET
        if answer is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (answer, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return names


async def test_names_of_this_machine_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    names = look_up(monkeypatch, None)
    for host in ("localhost", "bots.localhost", "127.0.0.1"):
        assert await find(host, 80, any_host=False) == "127.0.0.1"
    assert names == []


async def test_a_name_is_looked_up_and_must_be_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    names = look_up(monkeypatch, "127.0.0.1")
    assert await find("bots.example.com", 443, any_host=False) == "127.0.0.1"
    look_up(monkeypatch, ELSEWHERE)
    with pytest.raises(
        UnreachableError, match=r"this machine only, which bots\.example\.com is not; --any-host"
    ):
        await find("bots.example.com", 443, any_host=False)
    assert await find("bots.example.com", 443, any_host=True) == ELSEWHERE
    assert names == ["bots.example.com"]


async def test_a_name_that_is_none_is_said_in_telegrams_words(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up(monkeypatch, None)
    with pytest.raises(UnreachableError, match=r"^Failed to resolve host: Name or service not known$"):
        await find("bots.example.com", 443, any_host=False)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(errno.ECONNRESET, "x"), "Connection reset by peer"),
        (OSError(errno.ENETUNREACH, "x"), "Network is unreachable"),
        (aiohttp.ServerDisconnectedError(), "Webhook connection closed"),
        (aiohttp.ClientPayloadError(), "Webhook connection closed"),
        (aiohttp.ClientConnectionResetError("closing"), "Webhook connection closed"),
        (aiohttp.ConnectionTimeoutError(), "Connection timed out"),
        (TimeoutError(), "Read timeout expired"),
        (ssl.SSLError(1, "x"), "SSL error {error:SSL routines::unknown}"),
        (aiohttp.ClientError(), "Wrong response from the webhook"),
    ],
)
def test_what_is_said_of_a_failure(error: Exception, words: str) -> None:
    assert words_for(error) == words


def test_openssl_reasons_are_said_with_their_number_where_it_is_known() -> None:
    assert ssl_words("CERTIFICATE_VERIFY_FAILED").startswith("SSL error {error:0A000086:SSL routines::")
    assert ssl_words("NO_CIPHERS_AVAILABLE") == "SSL error {error:SSL routines::no ciphers available}"


async def test_a_mistake_in_a_method_ends_that_call_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(world: World, call: object) -> None:
        raise KeyError("a mistake")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    monkeypatch.setitem(dispatch.HANDLERS, "sendMessage", fail)
    world = World()
    replies = Replies(dispatch.Dispatcher(world), None)
    await replies.carry_out(world.bot(1001), "application/json", b'{"method":"sendMessage"}')
    assert [context["message"] for context in told] == ["bot 1001: sendMessage failed here"]
