"""Asks the platform's API for its bots over HTTP.

The address may hold a key and the answer holds tokens; so no text of an exception and nothing of an answer
leaves this module in words, only words of its own.

Runs in: master.
"""

import asyncio
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from brama.errors import BramaError
from supervisor.http_words import find_proxy, in_words
from supervisor.platform.policy.pace import read_pause_s

#: Longest ETag that is remembered, in characters.
_MAX_ETAG = 1024
_ADVICE = {
    401: "the token is not accepted; check bots_source.token",
    403: "the token is not accepted; check bots_source.token",
    404: "there is nothing at this address; check bots_source.url",
}


@dataclass(frozen=True, slots=True)
class AskingLimits:
    """Time for a question and its whole answer in seconds, and the largest answer; tests make them small."""

    deadline_s: float = 10.0
    max_body_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer with status 200."""

    body: bytes = field(repr=False)
    etag: str | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The answer is still the one that the ETag stands for."""


class UnreachableError(BramaError):
    """No list came; the text says in words what happened. ``pause_s``: how long the API asks to be left."""

    def __init__(self, detail: str, pause_s: float | None = None) -> None:
        super().__init__(detail)
        self.pause_s = pause_s


class PlatformClient:
    """Asks one address. Must be made in a running loop.

    Args:
        url: ``bots_source.url``.
        token: what the address wants as a bearer; None: nothing.
        limits: of one question.
    """

    def __init__(self, url: str, token: str | None, limits: AskingLimits) -> None:
        self._url = URL(url)
        self._limits = limits
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        # A question a minute: a connection kept that long would be closed by the other end half of the time.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        self._proxy = find_proxy(url)

    async def ask(self, etag: str | None, within_s: float | None = None) -> Fetched | Unchanged:
        """Return what the platform lists.

        Args:
            etag: stands for the answer that is known already.
            within_s: longest time for the whole answer in seconds, if shorter than the usual one.

        Raises:
            UnreachableError: neither a list came nor word that it is the same.
        """
        headers = self._headers if etag is None else {**self._headers, "If-None-Match": etag}
        deadline_s = min(self._limits.deadline_s, within_s or self._limits.deadline_s)
        try:
            async with asyncio.timeout(deadline_s):
                return await self._ask(headers, is_conditional=etag is not None)
        except aiohttp.ClientError as error:  # some are timeouts too
            raise UnreachableError(in_words(error)) from None
        except TimeoutError:
            raise UnreachableError(f"no whole answer within {deadline_s:g} s") from None
        except (OSError, ValueError) as error:
            raise UnreachableError(in_words(error)) from None

    async def aclose(self) -> None:
        """Close what is open."""
        await self._session.close()

    # --- inside ---------------------------------------------------------------------------------

    async def _ask(self, headers: dict[str, str], *, is_conditional: bool) -> Fetched | Unchanged:
        proxy, proxy_auth = self._proxy
        request = self._session.get(
            self._url, headers=headers, allow_redirects=False, proxy=proxy, proxy_auth=proxy_auth
        )
        async with request as response:
            if response.status == 304 and is_conditional:
                return Unchanged()
            if response.status != 200:
                pause_s = read_pause_s(response.headers.get("Retry-After"))
                raise UnreachableError(
                    _say_status(response.status), pause_s if response.status in {429, 503} else None
                )
            return Fetched(await self._read(response), _usable(response.headers.get("ETag")))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._limits.max_body_bytes:
                raise UnreachableError(f"the answer is larger than {self._limits.max_body_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _say_status(status: int) -> str:
    if status != 304 and 300 <= status < 400:
        return f"a redirect ({status}), which is not followed; write where it leads as bots_source.url"
    advice = _ADVICE.get(status)
    return f"status {status}: {advice}" if advice else f"status {status} instead of 200"


def _usable(etag: str | None) -> str | None:
    """Return an ETag that can be sent back."""
    return etag if etag and len(etag) <= _MAX_ETAG and etag.isascii() and etag.isprintable() else None
