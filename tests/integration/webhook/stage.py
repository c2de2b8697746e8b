"""Telegram's side of a connection, as raw as it needs to be, and a master that keeps what it is given."""

import asyncio
import ssl
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from brama.arrival import Arrival
from webhook.policy.networks import Mode
from webhook.server import WebhookServer
from webhook.settings import WebhookServerSettings

SECRET = "the-secret-of-the-shop-bot_0123456789-abcdef"
OTHER_SECRET = "the-secret-of-the-support-bot_0123456789-abc"
UPDATE = b'{"update_id":7,"message":{"text":"a word that nobody logs"}}'
#: A limit after which a test is wrong.
PATIENCE_S = 20.0


class FakeDoor:
    """A master with two bots."""

    def __init__(self) -> None:
        self.secrets = {"shop": SECRET, "support": OTHER_SECRET}
        self.arrival = Arrival.ACCEPTED
        self.error: Exception | None = None
        self.ill: str | None = None
        self.taken: list[tuple[str, bytes]] = []
        self.entered = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    def secret_of(self, bot_id: str) -> str | None:
        return self.secrets.get(bot_id)

    async def accept(self, bot_id: str, raw: bytes) -> Arrival:
        self.entered += 1
        await self.is_open.wait()
        if self.error is not None:
            raise self.error
        self.taken.append((bot_id, raw))
        return self.arrival

    def trouble(self) -> str | None:
        return self.ill


def settings(**changes: object) -> WebhookServerSettings:
    """Return settings for any free port of the loopback address."""
    plain: dict[str, object] = {
        "port": 0,
        "listen": "127.0.0.1",
        "ssl_cert": None,
        "ssl_key": None,
        "path_prefix": "",
        "max_body_bytes": 1024 * 1024,
        "trusted_proxies": (ip_network("127.0.0.0/8"),),
        "networks": Mode.OFF,
        "telegram_networks": (ip_network("149.154.160.0/20"), ip_network("91.108.4.0/22")),
    }
    return WebhookServerSettings(**(plain | changes))  # type: ignore[arg-type]


def tls_settings(cert: Path, key: Path, **changes: object) -> dict[str, object]:
    """Return the changes for a server that ends TLS."""
    return {"ssl_cert": cert, "ssl_key": key, **changes}


def post(
    body: bytes = UPDATE,
    *headers: str,
    path: str = "/webhook/shop",
    secret: str | None = SECRET,
    kind: str | None = "application/json",
    length: int | None = -1,
) -> bytes:
    """Return a request; ``length`` None: without Content-Length, -1: with the right one."""
    lines = [f"POST {path} HTTP/1.1", "Host: bots.example.com", *headers]
    if secret is not None:
        lines.append(f"X-Telegram-Bot-Api-Secret-Token: {secret}")
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """Return a request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: bots.example.com", *headers, "", ""]).encode()


def chunked(*pieces: bytes) -> bytes:
    """Return a body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@dataclass(frozen=True)
class Got:
    """An answer, ``raw`` being all of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes, *, is_head: bool = False) -> Got:
        """Send ``request`` and return its answer."""
        self.send(request)
        return await self.answer(is_head=is_head)

    def send(self, data: bytes) -> None:
        """Send ``data`` without waiting for anything."""
        self.writer.write(data)

    async def answer(self, *, is_head: bool = False) -> Got:
        """Return the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = 0 if is_head else int(headers.get("content-length", 0))
            body = await self.reader.readexactly(length)
        return Got(int(first.split()[1]), headers, body, head + body)

    async def rest(self) -> bytes:
        """Return what comes until the server ends the connection."""
        data = bytearray()
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    data += piece
        return bytes(data)

    async def aclose(self) -> None:
        """Leave."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


@dataclass
class Stage:
    """A running server and the connections to it."""

    server: WebhookServer
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.closing.aclose()

    async def connect(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Client:
        """Open a connection, closed with the stage."""
        reader, writer = await asyncio.open_connection(host, self.server.address[1], ssl=tls)
        client = Client(reader, writer)
        self.closing.push_async_callback(client.aclose)
        return client

    async def ask(self, request: bytes) -> Got:
        """Return the answer to ``request`` on a connection of its own."""
        client = await self.connect()
        return await client.ask(request)
