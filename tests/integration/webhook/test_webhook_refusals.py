"""What is refused, and what strangers can learn from it."""

import json

import pytest

from tests.integration.webhook.stage import SECRET, UPDATE, chunked, get, post, settings
from webhook.policy.networks import Mode

KIB = 1024


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(secret="wrong"),
        post(secret=None),
        post(secret=""),
        post(secret=SECRET[:-1]),
        post(secret=SECRET + "x"),
        post(secret=f"{SECRET},{SECRET}"),
        post(UPDATE, f"X-Telegram-Bot-Api-Secret-Token: {SECRET}"),
        post(UPDATE, "X-Telegram-Bot-Api-Secret-Token: other"),
        post(secret="\xff\xfe"),
        post(path="/webhook/nobody"),
        post(path="/webhook/nobody", secret=None),
        post(path="/webhook/SHOP"),
        post(path="/webhook/sh%6Fp"),
        post(path="/webhook/stats"),
        post(path="/webhook/" + "x" * 4000),
        post(secret="wrong", kind="text/plain"),
        post(b"", secret="wrong"),
        post(path="/webhook/nobody", kind=None),
        post(UPDATE, "Content-Encoding: gzip", secret="wrong"),
    ],
)
async def test_strangers_get_the_same_answer_to_the_last_byte(stage, door, request_bytes):
    got = await stage.ask(request_bytes)
    body = b'{"error":"unauthorized"}'
    assert got.raw == (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%b"
        % (len(body), body)
    )
    assert door.taken == []


async def test_a_stranger_is_answered_before_the_body(stage, door):
    client = await stage.connect()
    head = post(b"", secret="wrong", length=900_000)
    assert (await client.ask(head)).status == 401
    client = await stage.connect()
    assert (await client.ask(head.replace(b"/shop", b"/nobody"))).status == 401
    huge = post(b"", secret="wrong", length=10**12)
    client = await stage.connect()
    assert (await client.ask(huge)).status == 401
    assert door.entered == 0


async def test_a_strangers_connection_goes_on(stage):
    client = await stage.connect()
    assert (await client.ask(post(secret="wrong"))).status == 401
    assert (await client.ask(post())).status == 200


async def test_a_bot_without_a_secret_takes_nothing(stage, door):
    door.secrets["open"] = ""
    assert (await stage.ask(post(path="/webhook/open", secret=""))).status == 401
    assert (await stage.ask(post(path="/webhook/open", secret=None))).status == 401


@pytest.mark.parametrize(
    "kind",
    [
        *(None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"),
        *("multipart/form-data; boundary=x", "text/plain; application/json", "application/json, text/plain"),
    ],
)
async def test_updates_are_json(stage, door, kind):
    got = await stage.ask(post(kind=kind))
    assert got.status == 415
    assert door.taken == []
    assert stage.server.stats().bots["shop"].refused == {"content_type": 1}


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
async def test_json_may_be_written_otherwise(stage, kind):
    assert (await stage.ask(post(kind=kind))).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity", "x"])
async def test_updates_are_not_compressed(stage, door, encoding):
    got = await stage.ask(post(UPDATE, f"Content-Encoding: {encoding}"))
    assert got.status == 415
    assert door.taken == []
    assert stage.server.stats().bots["shop"].refused == {"content_encoding": 1}


async def test_a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not(serve, door):
    stage = await serve(max_body_bytes=100 * KIB)
    assert (await stage.ask(post(b"x" * 100 * KIB))).status == 200
    got = await stage.ask(post(b"x" * (100 * KIB + 1)))
    assert (got.status, got.headers["connection"]) == (413, "close")
    assert len(door.taken) == 1


async def test_a_body_that_says_it_is_too_large_is_not_waited_for(serve, door):
    stage = await serve(max_body_bytes=KIB)
    client = await stage.connect()
    got = await client.ask(post(b"", length=KIB + 1))
    assert got.status == 413


@pytest.mark.parametrize("piece", [1, 100, 2000])
async def test_a_chunked_body_that_grows_too_large_is_cut_off(serve, door, piece):
    stage = await serve(max_body_bytes=KIB)
    pieces = [b"x" * piece] * (2 * KIB // piece + 1)
    got = await stage.ask(post(chunked(*pieces), "Transfer-Encoding: chunked", length=None))
    assert got.status == 413
    assert door.taken == []
    assert stage.server.stats().bots["shop"].refused == {"too_large": 1}


async def test_a_body_without_an_end_is_cut_off_when_it_has_grown_too_large(serve, door):
    stage = await serve(max_body_bytes=KIB)
    client = await stage.connect()
    endless = chunked(b"x" * KIB, b"x").removesuffix(b"0\r\n\r\n")
    got = await client.ask(post(endless, "Transfer-Encoding: chunked", length=None))
    assert (got.status, got.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
async def test_updates_are_posted(stage, method):
    client = await stage.connect()
    got = await client.ask(get("/webhook/shop", method=method), is_head=method == "HEAD")
    assert (got.status, got.headers["allow"]) == (405, "POST")
    other = await client.ask(get("/webhook/nobody", method=method), is_head=method == "HEAD")
    assert other.raw == got.raw


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_health_is_only_read(stage, method):
    got = await stage.ask(get("/health", method=method))
    assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    ["/", "/webhook", "/webhook/", "/webhook/shop/", "/webhook/a/b", "/metrics", "/health/x", "/%00", "//"],
)
async def test_there_is_nothing_else(stage, path):
    for request in (get(path), post(path=path)):
        got = await stage.ask(request)
        assert (got.status, json.loads(got.body)) == (404, {"error": "not found"})


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        post(UPDATE, "Transfer-Encoding: chunked"),
        post(UPDATE, "Content-Length: 1"),
        post(UPDATE, "Content-Type: text/plain"),
        post(UPDATE, "bad header\x00: x"),
        post(UPDATE, "X: a\x00b"),
        post(length=None).replace(b"\r\n\r\n", b"\r\nContent-Length: -1\r\n\r\n"),
        post(path="/" + "x" * 9000),
        post(UPDATE, "X: " + "y" * 9000),
        post(UPDATE, *(f"X-{number}: y" for number in range(200))),
    ],
)
async def test_nonsense_is_a_400_that_repeats_nothing(stage, door, capsys, caplog, nonsense):
    client = await stage.connect()
    client.send(nonsense)
    got = await client.answer()
    assert (got.status, got.body) == (400, b'{"error":"bad request"}')
    assert await client.rest() == b""
    assert (await stage.ask(post())).status == 200
    assert stage.server.stats().refused == {"bad_request": 1}
    written = capsys.readouterr()
    assert written.out + written.err + caplog.text == ""


async def test_no_answer_says_what_answers(stage):
    for request in (post(), post(secret="wrong"), get("/health"), get("/"), b"x\r\n\r\n"):
        assert "server" not in (await stage.ask(request)).headers


async def test_a_spoofed_address_gains_nothing(serve, door):
    stage = await serve(networks=Mode.ENFORCE, trusted_proxies=())
    telegram = "149.154.167.220"
    for name in ("X-Real-IP", "X-Forwarded-For", "Forwarded", "X-Client-IP"):
        assert (await stage.ask(post(UPDATE, f"{name}: {telegram}"))).status == 401
    assert door.taken == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["X-Real-IP: 149.154.167.220"], 200),
        (["X-Real-IP: 91.108.4.1"], 200),
        (["X-Real-IP: ::ffff:149.154.167.220"], 200),
        (["X-Real-IP: 149.154.176.1"], 401),
        (["X-Real-IP: 8.8.8.8", "X-Forwarded-For: 149.154.167.220"], 401),
        (["X-Forwarded-For: 149.154.167.220"], 401),
        ([], 401),
        (["X-Real-IP: 149.154.167.220", "X-Real-IP: 149.154.167.220"], 401),
        (["X-Real-IP: 149.154.167.220, 149.154.167.220"], 401),
        (["X-Real-IP: 149.154.167.220:443"], 401),
        (["X-Real-IP: "], 401),
        (["X-Real-IP: garbage"], 401),
        (["X-Real-IP: " + "1" * 5000], 401),
    ],
)
async def test_enforced_networks_believe_the_proxys_header_alone(serve, door, headers, status):
    stage = await serve(networks=Mode.ENFORCE)
    got = await stage.ask(post(UPDATE, *headers))
    assert got.status == status
    assert len(door.taken) == (status == 200)
    if status == 401:
        wrong = await stage.ask(post(UPDATE, *headers, secret="wrong"))
        unknown = await stage.ask(post(UPDATE, *headers, path="/webhook/nobody"))
        assert wrong.raw == unknown.raw == got.raw
        assert stage.server.stats().refused == {"network": 2, "unknown_bot": 1}
        assert stage.server.last_seen_at("shop") is None
        assert stage.server.last_refused_at("shop") is None


async def test_watched_networks_let_all_in_and_say_so_once(serve, door, capsys):
    stage = await serve(networks=Mode.WARN)
    client = await stage.connect()
    for header in ("X-Real-IP: 8.8.8.8", "X-Real-IP: 8.8.4.4", "X-Real-IP: garbage"):
        assert (await client.ask(post(UPDATE, header))).status == 200
    await client.ask(post(UPDATE, "X-Real-IP: 9.9.9.9", secret="wrong"))
    assert len(door.taken) == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if "webhook." in line]
    assert len(lines) == 1
    assert "webhook.outsider_admitted" in lines[0]
    assert "8.8.8.8" in lines[0]


async def test_settings_change_under_open_connections(serve, door):
    stage = await serve()
    client = await stage.connect()
    big = post(b"x" * 2 * KIB)
    assert (await client.ask(big)).status == 200
    stage.server.reconfigure(settings(max_body_bytes=KIB))
    assert (await client.ask(big)).status == 413
    stage.server.reconfigure(settings(networks=Mode.ENFORCE))
    client = await stage.connect()
    assert (await client.ask(post())).status == 401
    assert (await client.ask(post(UPDATE, "X-Real-IP: 91.108.4.9"))).status == 200
    stage.server.reconfigure(settings(networks=Mode.ENFORCE, trusted_proxies=()))
    assert (await client.ask(post(UPDATE, "X-Real-IP: 91.108.4.9"))).status == 401
    stage.server.reconfigure(settings())
    assert (await client.ask(post())).status == 200
