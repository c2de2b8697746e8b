"""The master's calls of the Bot API over HTTP.

One session for all bots, a connection for each open poll. Tokens stand in URLs, so no text of an exception
leaves this module.

Runs in: master.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from brama.errors import BramaError
from supervisor.http_words import find_proxy, in_words, is_stray

#: Time to connect, TLS included, in seconds.
CONNECT_DEADLINE_S = 10.0
#: Time beyond a long poll's own timeout until an answer must begin, in seconds.
ANSWER_SLACK_S = 10.0
#: Time an answer may take from its first byte to its last, in seconds.
BODY_DEADLINE_S = 30.0
#: Telegram cuts batches at about 4 MB; a single update has at most a few hundred KB.
MAX_BODY_BYTES = 64 * 1024 * 1024
#: A dead peer is noticed after about this long even by an idle connection, in seconds.
_KEEPALIVE_IDLE_S, _KEEPALIVE_INTERVAL_S, _KEEPALIVE_PROBES = 30, 10, 3

_HEADERS = {"Accept-Encoding": "identity"}
_JSON = {"Content-Type": "application/json"}


class UnreachableError(BramaError):
    """No whole answer came; the text says in words what happened instead, without a URL.

    ``is_stray``: the connection ended as an idle one may. ``is_too_slow``: the answer began and was too slow
    or too large, so a smaller one may do.
    """

    def __init__(self, detail: str, *, is_stray: bool = False, is_too_slow: bool = False) -> None:
        super().__init__(detail)
        self.is_stray = is_stray
        self.is_too_slow = is_too_slow


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Time limits in seconds and the largest body; tests make them small."""

    connect_s: float = CONNECT_DEADLINE_S
    answer_s: float = ANSWER_SLACK_S
    body_s: float = BODY_DEADLINE_S
    max_body_bytes: int = MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole HTTP answer; ``retry_after`` and ``date`` are the headers of those names."""

    status: int
    retry_after: str | None
    body: bytes
    date: str | None = None


class BotApi:
    """Calls methods of one Bot API server. Must be made in a running loop."""

    def __init__(self, base_url: str, deadlines: Deadlines | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._deadlines = deadlines or Deadlines()
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=90.0, ttl_dns_cache=60, socket_factory=_keepalive_socket
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._deadlines.connect_s),
            json_serialize=lambda value: msgspec.json.encode(value).decode(),
        )
        self._proxy = find_proxy(self._base_url)

    async def call(
        self,
        token: str,
        method: str,
        parameters: Mapping[str, Any],
        *,
        held_s: float = 0.0,
        files: Mapping[str, bytes] = {},
    ) -> HttpAnswer:
        """Return the answer to one call.

        Args:
            token: the bot's.
            method: such as getUpdates.
            parameters: as the Bot API documents them.
            held_s: how long the server may hold the call on purpose, in seconds.
            files: contents of files to upload, by the parameter's name.

        Raises:
            UnreachableError: no whole answer came in time.
        """
        body = _form(parameters, files) if files else msgspec.json.encode(parameters)
        url = f"{self._base_url}/bot{token}/{method}"
        answer_within_s = held_s + self._deadlines.connect_s + self._deadlines.answer_s
        try:
            return await self._call(url, body, answer_within_s)
        except UnreachableError:
            raise
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise UnreachableError(in_words(error), is_stray=is_stray(error)) from None

    async def _call(self, url: str, body: bytes | aiohttp.FormData, answer_within_s: float) -> HttpAnswer:
        proxy, proxy_auth = self._proxy
        headers = _JSON if isinstance(body, bytes) else {}
        request = self._session.post(
            url, data=body, headers=headers, allow_redirects=False, proxy=proxy, proxy_auth=proxy_auth
        )
        try:
            async with asyncio.timeout(answer_within_s):
                response = await request
        except aiohttp.ClientError:  # some are timeouts too: those of connecting
            raise
        except TimeoutError:
            raise UnreachableError(f"no answer within {answer_within_s:.0f} s") from None
        async with response:
            try:
                async with asyncio.timeout(self._deadlines.body_s):
                    content = await self._read(response)
            except aiohttp.ClientError:
                raise
            except TimeoutError:
                detail = f"the answer was not complete after {self._deadlines.body_s:.0f} s"
                raise UnreachableError(detail, is_too_slow=True) from None
        named = response.headers
        return HttpAnswer(response.status, named.get("Retry-After"), content, named.get("Date"))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._deadlines.max_body_bytes:
                detail = f"the answer is larger than {self._deadlines.max_body_bytes} bytes"
                raise UnreachableError(detail, is_too_slow=True)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


def _form(parameters: Mapping[str, Any], files: Mapping[str, bytes]) -> aiohttp.FormData:
    """Return a form of parameters, whose values the Bot API takes as text or JSON, and files."""
    form = aiohttp.FormData()
    for name, value in parameters.items():
        form.add_field(name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
    for name, content in files.items():
        form.add_field(name, content, filename=f"{name}.pem", content_type="application/octet-stream")
    return form


def _keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that finds out by itself that its peer is gone."""
    family, kind, protocol, *_ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
    return sock
