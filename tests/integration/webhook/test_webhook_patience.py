"""Clients that take their time, or too much of everything."""

import asyncio
import errno
import socket
from contextlib import suppress

import pytest
from aiohttp import web

from tests.integration.webhook.stage import PATIENCE_S, SECRET, UPDATE, chunked, get, post
from tests.waiting import await_until
from webhook.settings import Bounds

#: Waited out by tests in which a client is slow.
SOON_S = 0.2


async def send_for_ever(client: socket.socket) -> None:
    """Send requests without reading one answer; returns when the server takes no more for a long time."""
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.get_running_loop().sock_sendall(client, get("/nothing") * 1000)


@pytest.mark.parametrize(
    "beginning", [b"", b"P", b"POST /webhook/shop HTTP/1.1\r\nHost:", post()[:100], b"\r\n\r\n\r\n"]
)
async def test_a_client_that_does_not_finish_its_headers_is_left(serve, beginning):
    stage = await serve(Bounds(head_s=SOON_S))
    client = await stage.connect()
    client.send(beginning)
    assert await client.rest() == b""
    await await_until(lambda: stage.server.stats().connections == 0)


async def test_a_client_that_does_not_finish_its_second_headers_is_left(serve):
    stage = await serve(Bounds(head_s=SOON_S))
    client = await stage.connect()
    assert (await client.ask(post())).status == 200
    client.send(b"POST /webhook")
    assert await client.rest() == b""


async def test_headers_that_trickle_in_are_not_waited_for_longer(serve):
    stage = await serve(Bounds(head_s=SOON_S))
    client = await stage.connect()
    client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")

    async def has_ended() -> bool:
        client.send(b"X: y\r\n")
        return bool(client.reader.at_eof())

    await await_until(has_ended)


async def test_a_connection_without_a_request_is_kept_and_then_ended(serve):
    stage = await serve(Bounds(head_s=SOON_S, idle_s=4 * SOON_S))
    client = await stage.connect()
    assert (await client.ask(post())).status == 200
    began_at = asyncio.get_running_loop().time()
    assert await client.rest() == b""
    assert asyncio.get_running_loop().time() - began_at >= 3 * SOON_S


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"", length=10),
        post(UPDATE[:-1], length=len(UPDATE)),
        post(b"3\r\nab", "Transfer-Encoding: chunked", length=None),
        post(b"3\r\nabc\r\n", "Transfer-Encoding: chunked", length=None),
    ],
)
async def test_a_body_that_does_not_come_is_not_waited_for(serve, door, request_bytes):
    stage = await serve(Bounds(body_s=SOON_S, leftover_s=SOON_S))
    client = await stage.connect()
    got = await client.ask(request_bytes)
    assert (got.status, got.headers["connection"]) == (408, "close")
    assert await client.rest() == b""
    assert door.taken == []
    stats = stage.server.stats()
    assert (stats.bots["shop"].refused, stats.serving) == ({"slow": 1}, 0)
    assert (await stage.ask(post())).status == 200


async def test_a_slow_commit_is_not_a_slow_client(serve, door):
    stage = await serve(Bounds(head_s=SOON_S, body_s=SOON_S, idle_s=SOON_S, unread_s=SOON_S))
    door.is_open.clear()
    client = await stage.connect()
    client.send(post())
    await await_until(lambda: door.entered)
    witness = await stage.connect()
    assert await witness.rest() == b""  # so long that a client would be left
    door.is_open.set()
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("bad", [b"zz\r\nabc\r\n", b"3\r\nabcd\r\n0\r\n\r\n"])
async def test_a_broken_chunk_ends_the_connection(serve, door, bad):
    stage = await serve(Bounds(body_s=SOON_S, leftover_s=SOON_S))
    client = await stage.connect()
    client.send(post(bad, "Transfer-Encoding: chunked", length=None))
    assert (await client.answer()).status in {400, 408}
    await client.rest()
    assert door.taken == []
    assert (await stage.ask(post())).status == 200
    assert stage.server.stats().serving == 0


async def test_a_client_that_leaves_within_the_body_is_counted(stage, door):
    client = await stage.connect()
    client.send(post(b"{", length=10))
    await await_until(lambda: stage.server.stats().serving)
    client.writer.transport.abort()
    await await_until(lambda: stage.server.stats().serving == 0)
    assert door.taken == []
    assert stage.server.stats().bots["shop"].refused == {"broken_off": 1}


async def test_a_client_that_does_not_read_is_left(serve):
    stage = await serve(Bounds(unread_s=SOON_S))
    host, port = stage.server.address
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(deaf, (host, port))
        with pytest.raises(ConnectionError):
            await send_for_ever(deaf)
    finally:
        deaf.close()
    await await_until(lambda: stage.server.stats().connections == 0)
    assert (await stage.ask(post())).status == 200


async def test_one_connection_too_many_ends_the_one_that_was_idle_longest(serve, door):
    stage = await serve(Bounds(max_connections=3))
    clients = [await stage.connect() for _ in range(3)]
    for client in clients:
        assert (await client.ask(post())).status == 200
    newcomer = await stage.connect()
    assert (await newcomer.ask(post())).status == 200
    assert await clients[0].rest() == b""
    for client in (clients[1], clients[2], newcomer):
        assert (await client.ask(post())).status == 200
    assert stage.server.stats().connections == 3


async def test_connections_that_are_served_are_not_ended_for_others(serve, door):
    stage = await serve(Bounds(max_connections=2, head_s=1000.0))
    door.is_open.clear()
    busy = [await stage.connect() for _ in range(2)]
    for client in busy:
        client.send(post())
    await await_until(lambda: door.entered == 2)
    refused = await stage.connect()
    assert await refused.rest() == b""
    door.is_open.set()
    assert [(await client.answer()).status for client in busy] == [200, 200]
    assert (await stage.ask(post())).status == 200


async def test_a_flood_of_silent_connections_shuts_nobody_out(serve, door):
    stage = await serve(Bounds(max_connections=20))
    for _ in range(100):
        await stage.connect()
    assert (await stage.ask(post())).status == 200
    assert stage.server.stats().connections <= 20


async def test_what_follows_a_refused_body_is_understood(stage, door):
    client = await stage.connect()
    assert (await client.ask(post(b"", secret="wrong", length=400_000))).status == 401
    assert (await client.ask(b"x" * 400_000 + post())).status == 200
    client.send(post(chunked(b"x" * 400_000), "Transfer-Encoding: chunked", kind="text/plain", length=None))
    assert (await client.answer()).status == 415
    assert (await client.ask(post())).status == 200
    assert [raw for _, raw in door.taken] == [UPDATE, UPDATE]


async def test_a_defect_ends_one_connection_and_quotes_nothing(stage, door, monkeypatch, capsys, caplog):
    healthy = await stage.connect()
    assert (await healthy.ask(post())).status == 200
    with monkeypatch.context() as patched:
        patched.setattr(web.RequestHandler, "data_received", fail_quoting)
        for _ in range(3):
            client = await stage.connect()
            client.send(post())
            assert await client.rest() == b""
    assert (await healthy.ask(post())).status == 200
    lines = [line for line in capsys.readouterr().out.splitlines() if "webhook." in line]
    assert len(lines) == 1
    assert "webhook.connection_failed" in lines[0]
    assert "error=ValueError" in lines[0]
    assert SECRET not in lines[0] + caplog.text


async def test_what_aiohttp_would_log_is_one_word(stage, door, monkeypatch, capsys, caplog):
    with monkeypatch.context() as patched:
        patched.setattr(web.RequestHandler, "finish_response", fail_quoting)
        client = await stage.connect()
        client.send(post())
        assert await client.rest() == b""
    assert (await stage.ask(post())).status == 200
    written = capsys.readouterr()
    assert "error=ValueError" in written.out
    assert SECRET not in written.out + written.err + caplog.text


async def test_a_door_that_fails_is_a_503(stage, door, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(door, "secret_of", fail_quoting)
        got = await stage.ask(post())
    assert (got.status, got.headers["retry-after"]) == (503, "5")
    assert (await stage.ask(post())).status == 200
    said = capsys.readouterr().out
    assert "webhook.request_failed" in said
    assert SECRET not in said


async def test_without_file_descriptors_newcomers_wait(stage, monkeypatch, capsys):
    early = await stage.connect()
    assert (await early.ask(post())).status == 200
    accept, failures = socket.socket.accept, [errno.EMFILE]

    def accept_later(listener: socket.socket) -> object:
        if failures:
            raise OSError(failures.pop(), "Too many open files")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    late = await stage.connect()
    assert (await late.ask(post())).status == 200
    assert (await early.ask(post())).status == 200
    assert failures == []
    assert "webhook.accept_paused" in capsys.readouterr().out


def fail_quoting(*_: object) -> None:
    raise ValueError(f"cannot take {post()!r}")
