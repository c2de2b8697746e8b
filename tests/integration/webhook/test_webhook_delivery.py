"""Updates as Telegram brings them, over real sockets."""

import asyncio
import json

import pytest

from brama.arrival import Arrival
from tests.integration.webhook.stage import OTHER_SECRET, SECRET, UPDATE, chunked, get, post
from tests.waiting import await_until, loop_turn
from webhook.settings import Bounds


async def test_an_update_arrives_as_it_was_sent(stage, door):
    raw = b'{"update_id": 7,  "message":{"text":"\xd0\xbf\\u0440"}}\n'
    got = await stage.ask(post(raw))
    assert got.raw == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert door.taken == [("shop", raw)]


async def test_the_answer_waits_for_the_commit(stage, door):
    door.is_open.clear()
    client = await stage.connect()
    client.send(post())
    await await_until(lambda: door.entered)
    assert not client.reader.at_eof()
    answer = asyncio.ensure_future(client.answer())
    await loop_turn()
    assert not answer.done()
    door.is_open.set()
    assert (await answer).status == 200


@pytest.mark.parametrize(
    ("arrival", "status", "retry_after"),
    [
        (Arrival.ACCEPTED, 200, None),
        (Arrival.DUPLICATE, 200, None),
        (Arrival.MALFORMED, 400, None),
        (Arrival.FULL, 503, "10"),
        (Arrival.UNWRITTEN, 503, "5"),
        (Arrival.CLOSED, 503, "30"),
    ],
)
async def test_what_became_of_the_update_decides_the_answer(stage, door, arrival, status, retry_after):
    door.arrival = arrival
    got = await stage.ask(post())
    assert (got.status, got.headers.get("retry-after")) == (status, retry_after)
    assert got.body == b"" if status == 200 else set(json.loads(got.body)) == {"error"}


async def test_a_defect_of_the_master_is_a_503_and_says_nothing(stage, door, capsys, caplog):
    door.error = ValueError(f"cannot take {UPDATE!r}")
    client = await stage.connect()
    got = await client.ask(post())
    assert (got.status, got.headers["retry-after"]) == (503, "5")
    door.error = None
    assert (await client.ask(post())).status == 200
    written = capsys.readouterr()
    assert "webhook.accept_failed" in written.out + written.err
    assert "nobody logs" not in written.out + written.err + caplog.text


async def test_a_connection_carries_one_request_after_another(stage, door):
    client = await stage.connect()
    for number in range(5):
        assert (await client.ask(post(b'{"update_id":%d}' % number))).status == 200
    assert [raw for _, raw in door.taken] == [b'{"update_id":%d}' % number for number in range(5)]
    assert stage.server.stats().connections == 1


async def test_requests_that_come_at_once_are_answered_in_order(stage, door):
    client = await stage.connect()
    client.send(post(b"1") + get("/health") + post(b"2", secret="wrong") + post(b"3"))
    assert [(await client.answer()).status for _ in range(4)] == [200, 200, 401, 200]
    assert door.taken == [("shop", b"1"), ("shop", b"3")]


async def test_a_hundred_requests_that_come_at_once_all_get_through(stage, door):
    client = await stage.connect()
    client.send(b"".join(post(b"%d" % number) for number in range(100)))
    for _ in range(100):
        assert (await client.answer()).status == 200
    assert [int(raw) for _, raw in door.taken] == list(range(100))


@pytest.mark.parametrize("size", [1, 1000, 300_000])
async def test_a_chunked_body_is_put_together(stage, door, size):
    pieces = [b"x" * size, b"y" * size, b"z"]
    client = await stage.connect()
    for _ in range(2):
        got = await client.ask(post(chunked(*pieces), "Transfer-Encoding: chunked", length=None))
        assert got.status == 200
    assert door.taken == [("shop", b"".join(pieces))] * 2


async def test_a_body_may_come_byte_by_byte(stage, door):
    client = await stage.connect()
    for byte in post():
        client.send(bytes([byte]))
        await client.writer.drain()
        await loop_turn()
    assert (await client.answer()).status == 200
    assert door.taken == [("shop", UPDATE)]


async def test_a_client_that_asks_first_is_told_to_go_on(stage, door):
    client = await stage.connect()
    head, _, body = post(UPDATE, "Expect: 100-continue").partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert (await client.answer()).raw == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.ask(body)).status == 200
    assert door.taken == [("shop", UPDATE)]


async def test_a_client_that_asks_first_is_told_to_stay_away(stage, door):
    client = await stage.connect()
    head, _, _ = post(UPDATE, "Expect: 100-continue", secret="wrong").partition(b"\r\n\r\n")
    assert (await client.ask(head + b"\r\n\r\n")).status == 401
    assert door.taken == []


async def test_an_old_http_is_understood(stage):
    client = await stage.connect()
    got = await client.ask(post().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert got.raw == b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert await client.rest() == b""
    client = await stage.connect()
    request = post(UPDATE, "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert (await client.ask(request)).headers["connection"] == "keep-alive"
    assert (await client.ask(request)).status == 200


async def test_a_client_may_end_the_connection(stage):
    client = await stage.connect()
    got = await client.ask(post(UPDATE, "Connection: close"))
    assert (got.status, got.headers["connection"]) == (200, "close")
    assert await client.rest() == b""


@pytest.mark.parametrize("path", ["/tg/webhook/shop", "/webhook/shop", "/webhook/shop?a=b"])
async def test_the_public_addresss_path_may_be_passed_on_or_taken_off(serve, door, path):
    stage = await serve(path_prefix="/tg")
    assert (await stage.ask(post(path=path))).status == 200
    assert door.taken == [("shop", UPDATE)]


async def test_a_proxy_may_send_the_whole_address(stage):
    assert (await stage.ask(post(path="http://bots.example.com/webhook/shop"))).status == 200


async def test_an_update_whose_client_left_is_written_and_counted(stage, door):
    door.is_open.clear()
    client = await stage.connect()
    client.send(post())
    await await_until(lambda: door.entered)
    client.writer.transport.abort()
    await await_until(lambda: stage.server.stats().connections == 0)
    assert door.taken == []
    door.is_open.set()
    await await_until(lambda: door.taken)
    await await_until(lambda: stage.server.stats().accepted == 1)
    assert stage.server.stats().serving == 0


async def test_more_requests_than_may_be_served_are_asked_to_come_again(serve, door):
    stage = await serve(Bounds(max_serving=2))
    door.is_open.clear()
    first, second = await stage.connect(), await stage.connect()
    first.send(post())
    second.send(post(secret=OTHER_SECRET, path="/webhook/support"))
    await await_until(lambda: door.entered == 2)
    got = await stage.ask(post())
    assert (got.status, got.headers["retry-after"]) == (503, "1")
    assert (await stage.ask(post(secret="wrong"))).status == 401
    door.is_open.set()
    assert [(await first.answer()).status, (await second.answer()).status] == [200, 200]
    assert (await stage.ask(post())).status == 200
    assert stage.server.stats().bots["shop"].refused == {"busy": 1, "secret": 1}


async def test_a_server_that_drains_takes_nothing_more_and_finishes_what_it_has(stage, door):
    door.is_open.clear()
    early, late = await stage.connect(), await stage.connect()
    early.send(post())
    await await_until(lambda: door.entered)
    stage.server.drain()
    got = await late.ask(post())
    assert (got.status, got.headers["retry-after"], got.headers["connection"]) == (503, "2", "close")
    assert await late.rest() == b""
    assert (await stage.ask(post(secret="wrong"))).status == 401
    health = await stage.ask(get("/health"))
    assert (health.status, json.loads(health.body)["reason"]) == (503, "stopping")
    door.is_open.set()
    assert (await early.answer()).status == 200
    assert len(door.taken) == 1
    assert stage.server.stats().draining


async def test_closing_answers_what_is_being_written_and_ends_idle_connections(serve, door):
    stage = await serve(Bounds(shutdown_s=1000.0))
    idle = await stage.connect()
    assert (await idle.ask(post())).status == 200
    busy = await stage.connect()
    door.is_open.clear()
    busy.send(post())
    await await_until(lambda: door.entered == 2)
    closing = asyncio.ensure_future(stage.server.aclose())
    assert await idle.rest() == b""
    assert not closing.done()
    door.is_open.set()
    assert (await busy.answer()).status == 200
    await closing
    with pytest.raises(OSError):
        await stage.connect()
    await stage.server.aclose()


async def test_what_was_seen_of_a_bot_is_remembered(stage, door):
    server = stage.server
    assert (server.last_seen_at("shop"), server.last_refused_at("shop")) == (None, None)
    await stage.ask(post(secret="wrong"))
    refused_at = server.last_refused_at("shop")
    assert refused_at is not None
    assert server.last_seen_at("shop") is None
    door.arrival = Arrival.FULL
    await stage.ask(post())
    seen_at = server.last_seen_at("shop")
    assert seen_at is not None
    assert seen_at >= refused_at
    assert server.last_refused_at("shop") == refused_at
    await stage.ask(post(path="/webhook/nobody", secret=SECRET))
    assert (server.last_seen_at("nobody"), server.last_refused_at("nobody")) == (None, None)
