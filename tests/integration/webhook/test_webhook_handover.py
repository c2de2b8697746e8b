"""One server leaves its listener and its clients to the next, which none of them notices."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.certificates import make_certificate
from tests.integration.webhook.stage import (
    PATIENCE_S,
    UPDATE,
    FakeDoor,
    Stage,
    get,
    post,
    settings,
    tls_settings,
)
from tests.waiting import await_until
from webhook.server import Inheritance, WebhookServer
from webhook.settings import Bounds

#: Waited out by tests in which a client is slow.
SOON_S = 0.2
SECOND, THIRD = b'{"update_id":8}', b'{"update_id":9}'
Serve = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def succeed(door: FakeDoor) -> AsyncIterator[Serve]:
    """Return a function that ends a server which has handed over, and starts the next one on what is left."""
    async with AsyncExitStack() as closing:

        async def start(
            before: Stage, left: Inheritance, bounds: Bounds | None = None, **changes: object
        ) -> Stage:
            await before.server.aclose()
            server = WebhookServer(door, settings(**changes), api_token=None, bounds=bounds, inherited=left)
            closing.push_async_callback(server.aclose)
            await server.start()
            return await closing.enter_async_context(Stage(server))

        yield start


async def test_an_idle_client_goes_on_with_its_next_request(stage: Stage, succeed: Serve, door: FakeDoor):
    client = await stage.connect()
    assert (await client.ask(post())).status == 200
    left = await stage.server.hand_over()
    assert len(left.clients) == 1
    client.send(post(SECOND))  # waits in the kernel
    after = await succeed(stage, left)
    assert (await client.answer()).status == 200
    assert (await client.ask(post(THIRD))).status == 200
    assert [raw for _, raw in door.taken] == [UPDATE, SECOND, THIRD]
    assert after.server.stats().connections == 1


async def test_a_client_that_has_said_nothing_yet_goes_on(stage: Stage, succeed: Serve, door: FakeDoor):
    client = await stage.connect()
    await await_until(lambda: stage.server.stats().connections == 1)
    await succeed(stage, await stage.server.hand_over())
    assert (await client.ask(post())).status == 200


async def test_a_client_that_is_just_being_accepted_is_left_too(stage: Stage, succeed: Serve, door: FakeDoor):
    """Its request has come already: to close it now would reset it."""
    loop, client = asyncio.get_running_loop(), socket.create_connection(stage.server.address)
    try:
        client.sendall(post())
        client.setblocking(False)
        stage.server._acceptor._accept()  # type: ignore[union-attr]  # as the loop would in its next turn
        left = await stage.server.hand_over()
        await succeed(stage, left)
        async with asyncio.timeout(PATIENCE_S):
            assert (await loop.sock_recv(client, 100)).startswith(b"HTTP/1.1 200")
    finally:
        client.close()


async def test_a_request_in_the_middle_of_its_body_is_finished_before(
    stage: Stage, succeed: Serve, door: FakeDoor
):
    client = await stage.connect()
    client.send(post()[:-5])
    await await_until(lambda: stage.server.stats().serving == 1)
    handing_over = asyncio.ensure_future(stage.server.hand_over())
    door.is_open.clear()
    client.send(post()[-5:])
    await await_until(lambda: door.entered == 1)
    assert not handing_over.done()
    door.is_open.set()
    assert (await client.answer()).status == 200
    await succeed(stage, await handing_over)
    assert (await client.ask(post(SECOND))).status == 200


async def test_who_connects_meanwhile_waits_for_the_next_server(stage: Stage, succeed: Serve, door: FakeDoor):
    address = stage.server.address
    left = await stage.server.hand_over()
    client = await stage.connect()
    client.send(post())
    after = await succeed(stage, left)
    assert (await client.answer()).status == 200
    assert after.server.address == address
    assert after.server.stats().accepted == 1
    assert stage.server.stats().accepted == 0


async def test_slow_clients_and_commits_hold_nobody_up(serve: Serve, succeed: Serve, door: FakeDoor):
    """They are ended, the quiet ones beside them are not; neither takes longer than the bound."""
    stage = await serve(Bounds(hold_s=SOON_S, body_s=600.0, head_s=600.0, shutdown_s=600.0))
    quiet = await stage.connect()
    assert (await quiet.ask(post())).status == 200
    slow_head, slow_body, committing = [await stage.connect() for _ in range(3)]
    slow_head.send(post()[:50])
    slow_body.send(post()[:-5])
    door.is_open.clear()
    committing.send(post(SECOND))
    await await_until(lambda: door.entered == 2 and stage.server.stats().serving == 2)
    async with asyncio.timeout(PATIENCE_S):
        after = await succeed(stage, await stage.server.hand_over())
    for client in (slow_head, slow_body, committing):
        assert await client.rest() == b""
    door.is_open.set()
    await await_until(lambda: len(door.taken) == 2)
    assert (await quiet.ask(post(THIRD))).status == 200
    assert after.server.stats().connections == 1


async def test_a_client_with_tls_is_closed_after_its_answer(
    serve: Serve, succeed: Serve, door: FakeDoor, tmp_path: Path
):
    made = make_certificate(tmp_path)
    stage = await serve(**tls_settings(made.cert, made.key))
    trusting = ssl.create_default_context(cafile=str(made.cert))
    idle, busy = await stage.connect(trusting), await stage.connect(trusting)
    assert (await idle.ask(post())).status == 200
    door.is_open.clear()
    busy.send(post(SECOND))
    await await_until(lambda: door.entered == 2)
    handing_over = asyncio.ensure_future(stage.server.hand_over())
    door.is_open.set()
    assert (await busy.answer()).status == 200
    left = await handing_over
    assert left.clients == ()
    assert await busy.rest() == b""
    assert await idle.rest() == b""
    after = await succeed(stage, left, **tls_settings(made.cert, made.key))
    newcomer = await after.connect(trusting)
    assert (await newcomer.ask(post(THIRD))).status == 200


async def test_an_adopted_client_may_be_idle_as_long_as_between_requests(serve: Serve, succeed: Serve):
    bounds = Bounds(head_s=SOON_S, idle_s=4 * SOON_S)
    stage = await serve(bounds)
    client = await stage.connect()
    assert (await client.ask(post())).status == 200
    began_at = asyncio.get_running_loop().time()
    after = await succeed(stage, await stage.server.hand_over(), bounds)
    newcomer = await after.connect()
    assert await newcomer.rest() == b""  # says nothing for head_s
    assert not client.reader.at_eof()
    assert await client.rest() == b""
    assert asyncio.get_running_loop().time() - began_at >= 3 * SOON_S


async def test_an_adopted_client_may_not_take_longer_for_a_head(serve: Serve, succeed: Serve):
    bounds = Bounds(head_s=SOON_S, idle_s=PATIENCE_S)
    stage = await serve(bounds)
    client = await stage.connect()
    assert (await client.ask(post())).status == 200
    await succeed(stage, await stage.server.hand_over(), bounds)
    client.send(b"POST")
    assert await client.rest() == b""


async def test_a_client_that_leaves_meanwhile_is_noticed_by_the_next_server(stage: Stage, succeed: Serve):
    client = await stage.connect()
    assert (await client.ask(post())).status == 200
    left = await stage.server.hand_over()
    await client.aclose()
    after = await succeed(stage, left)
    await await_until(lambda: after.server.stats().connections == 0)
    assert (await after.ask(get("/health"))).status == 200


async def test_nothing_of_the_first_server_stays_open(stage: Stage, door: FakeDoor):
    """Else its address could not be taken once the next one no longer wants it."""
    client = await stage.connect()
    assert (await client.ask(post())).status == 200
    address = stage.server.address
    left = await stage.server.hand_over()
    assert not any(os.get_inheritable(fd) for fd in (left.listener, *left.clients))
    await stage.server.aclose()
    for fd in (left.listener, *left.clients):
        os.close(fd)
    assert await client.rest() == b""
    with pytest.raises(OSError) as refused:
        await asyncio.open_connection(*address)
    assert refused.value.errno == errno.ECONNREFUSED
