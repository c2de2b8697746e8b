"""Bytes that no Telegram would send: no crash, no 500, no secret in any answer, and intake goes on."""

import asyncio
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brama.arrival import Arrival
from tests.integration.webhook.stage import SECRET, UPDATE, FakeDoor, Stage, post
from tests.integration.webhook.stage import settings as server_settings
from webhook.server import WebhookServer
from webhook.settings import Bounds

#: Short, so that what is never completed ends soon.
IMPATIENT = Bounds(head_s=0.2, body_s=0.2, idle_s=0.5, leftover_s=0.1, unread_s=0.5)
ALLOWED = {200, 400, 401, 404, 405, 408, 413, 415, 503}

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


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return what somebody sends who does not mean well."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    line = f"{draw(METHODS)} {draw(PATHS)} {draw(VERSIONS)}"
    end = draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]))
    head = end.join([line, *draw(HEADERS), "", ""]).encode("latin-1")
    whole = head + draw(BODIES)
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


async def outlast(server: WebhookServer, door: FakeDoor, sent: list[bytes]) -> None:
    """Send each of ``sent`` over a connection of its own, and after each a real update over another."""
    async with Stage(server) as stage:
        for data in sent:
            client = await stage.connect()
            client.send(data)
            client.writer.write_eof()
            said = await client.rest()
            assert SECRET.encode() not in said
            assert b"Traceback" not in said
            statuses = [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", said, re.MULTILINE)]
            assert set(statuses) <= ALLOWED, said
            before = len(door.taken)
            assert (await stage.ask(post())).status == 200
            assert len(door.taken) > before


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(requests(), min_size=1, max_size=5))
def test_whatever_is_sent_intake_goes_on(sent: list[bytes]) -> None:
    async def play() -> None:
        door = FakeDoor()
        door.arrival = Arrival.ACCEPTED
        server = WebhookServer(door, server_settings(), api_token="token", bounds=IMPATIENT)
        await server.start()
        try:
            await outlast(server, door, sent)
        finally:
            await server.aclose()

    asyncio.run(play())
