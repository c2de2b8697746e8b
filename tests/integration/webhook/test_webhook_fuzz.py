"""Bytes that no Telegram would send: no crash, no 500, no secret in any answer, and intake goes on."""

import asyncio
import logging
import re

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.webhook.stage import SECRET, UPDATE, Client, FakeDoor, Stage, chunked, post
from tests.integration.webhook.stage import settings as server_settings
from tests.waiting import await_until
from webhook.server import WebhookServer
from webhook.settings import Bounds

#: What is left of bodies is not waited for long; everything else has the time that it needs.
BOUNDS = Bounds(body_s=0.2, leftover_s=0.1)
ALLOWED = {100, 200, 400, 401, 404, 405, 408, 413, 415, 503}

TEXT = st.text(st.characters(codec="latin-1"), max_size=40)
METHODS = (
    st.sampled_from(["POST", "GET", "HEAD", "PUT", "OPTIONS", "TRACE", "CONNECT", "post", "P\0ST", ""]) | TEXT
)
PATHS = (
    st.sampled_from(
        [
            *("/webhook/shop", "/webhook/nobody", "/webhook/", "/webhook/stats", "/health", "*", "//", ""),
            *(
                "/webhook/../health",
                "/webhook/%00",
                "/webhook/%2e%2e/x",
                "http://x/webhook/shop",
                "/" + "a" * 9000,
            ),
        ]
    )
    | TEXT
)
VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1 x", ""])
HEADERS = st.lists(
    st.sampled_from(
        [
            f"X-Telegram-Bot-Api-Secret-Token: {SECRET}",
            *("X-Telegram-Bot-Api-Secret-Token: \x00", "X-Telegram-Bot-Api-Secret-Token:"),
            *("Content-Type: application/json", "Content-Type: text/html", "Content-Type: \xff"),
            *(
                "Content-Length: 5",
                "Content-Length: -1",
                "Content-Length: 99999999999999999999",
                "Content-Length: x",
            ),
            *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Content-Encoding: gzip"),
            *("Expect: 100-continue", "Connection: close", "Connection: upgrade", "Upgrade: websocket"),
            *("X-Real-IP: garbage", "X-Forwarded-For: 127.0.0.1", "Authorization: Bearer x", "Cookie: a=b"),
            *("no colon", ": no name", "Host: x", "A: " + "b" * 9000, "X: 1\r\n 2", "\0: \0"),
        ]
    )
    | TEXT,
    max_size=8,
)
BODIES = st.sampled_from(
    [
        *(
            b"",
            UPDATE,
            UPDATE[:-5],
            b"[]",
            b"null",
            b'{"update_id":"7"}',
            b"{" * 5000,
            b"\0" * 100,
            b"\xff\xfe",
        ),
        *(b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"ffffffffffffffff\r\nx", b"5\r\nhel", b"x" * 20_000),
    ]
)


#: What Telegram could send.
REAL = [
    post(),
    post() + post(b"{}"),
    post(chunked(UPDATE[:20], UPDATE[20:]), "Transfer-Encoding: chunked", length=None),
    post(UPDATE, "Expect: 100-continue"),
]


def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return ``whole`` with some bytes replaced, added or left out."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


ODD_HEADERS = [
    *("Content-Encoding: gzip", "Expect: 100-continue", "Expect: a miracle", "Connection: upgrade"),
    *(
        "Upgrade: websocket",
        "Upgrade: h2c",
        "X-Real-IP: garbage",
        "X-Forwarded-For: 127.0.0.1",
        "Cookie: a=b",
    ),
    *(
        "Authorization: Bearer x",
        "Accept: text/html",
        "Content-Range: bytes 0-1/2",
        "TE: trailers",
        "X: \xff",
    ),
    *(f"X-Telegram-Bot-Api-Secret-Token: {secret}" for secret in (SECRET, "x", "\xfe")),
]


def odd(draw: st.DrawFn) -> bytes:
    """Return a request that is HTTP, mostly, and not what it should be."""
    body = draw(BODIES)
    headers = draw(st.lists(st.sampled_from(ODD_HEADERS), max_size=3))
    length = draw(st.sampled_from([-1, -1, -1, None, 0, 5, len(body) + 1, 2 * 1024 * 1024]))
    if draw(st.integers(0, 3)) == 0:
        headers, length = [*headers, "Transfer-Encoding: chunked"], None
        body = draw(st.sampled_from([body, chunked(body), chunked(*[b"x"] * 300), chunked(body)[:-3]]))
    return post(
        body,
        *headers,
        path=draw(st.sampled_from(["/webhook/shop", "/webhook/shop", "/webhook/shop", "/webhook/no", "/x"])),
        secret=draw(st.sampled_from([SECRET, SECRET, SECRET, "wrong", None])),
        kind=draw(st.sampled_from(["application/json", "application/json", "text/html", None, "\xff"])),
        length=length,
    ).replace(b"POST", draw(st.sampled_from([b"POST", b"POST", b"POST", b"PUT", b"HEAD", b"CONNECT"])), 1)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return what somebody sends who does not mean well."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    if draw(st.integers(0, 3)) == 0:
        return damaged(draw, draw(st.sampled_from(REAL)))
    if draw(st.integers(0, 2)):
        return odd(draw)
    line = f"{draw(METHODS)} {draw(PATHS)} {draw(VERSIONS)}"
    end = draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]))
    head = end.join([line, *draw(HEADERS), "", ""]).encode("latin-1")
    whole = head + draw(BODIES)
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


class Spill(logging.Handler):
    """Keeps what reaches the log by another way than the server's own."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


async def offend(stage: Stage, data: bytes) -> Client:
    """Send ``data``, and then a real update over another connection, which must be taken in."""
    client = await stage.connect()
    client.send(data)
    assert (await stage.ask(post())).status == 200
    return client


async def offend_all(sent: list[bytes], faults: list[object]) -> list[bytes]:
    """Return what each of ``sent`` was answered, until the server closed; ``faults`` gets the loop's own."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    door = FakeDoor()
    server = WebhookServer(door, server_settings(), api_token="token-0123456789", bounds=BOUNDS)
    await server.start()
    try:
        async with Stage(server) as stage:
            clients = await asyncio.gather(*(offend(stage, data) for data in sent))
            answers = [asyncio.ensure_future(client.rest()) for client in clients]
            await await_until(lambda: server.stats().serving == 0)
            assert door.taken.count(("shop", UPDATE)) >= len(sent)
            await server.aclose()
            return await asyncio.gather(*answers)
    finally:
        await server.aclose()


# A failing example may be long; the failure must be seen all the same.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(requests(), min_size=40, max_size=80))
def test_whatever_is_sent_intake_goes_on(sent: list[bytes]) -> None:
    spill = Spill()
    faults: list[object] = []
    root = logging.getLogger()
    root.addHandler(spill)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            answers = runner.run(offend_all(sent, faults))
    finally:
        root.removeHandler(spill)
    for said in answers:
        assert SECRET.encode() not in said
        assert UPDATE not in said
        assert b"Traceback" not in said
        assert {int(found) for found in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", said, re.MULTILINE)} <= ALLOWED
    assert (spill.lines, faults) == ([], [])
