"""The way to one webhook: POSTs updates to it over connections that stay open."""

import asyncio
import ssl

import aiohttp
from yarl import URL

from brama.clock import monotonic_s
from sandbox.policy.connections import IDLE_S
from sandbox.policy.outcome import Outcome, answered, failed
from sandbox.state.bot import Webhook
from sandbox.webhooks.places import UnreachableError, find, place_of
from sandbox.webhooks.words import words_for

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
#: How long the IP address of a name is believed, in seconds.
LOOKED_UP_S = 1800.0


class Route:
    """One webhook's address under the terms it was set with.

    Attributes:
        users: attempts under way.
        ip_address: where the webhook was found, empty before the first attempt.
    """

    def __init__(self, webhook: Webhook, context: ssl.SSLContext | None, *, any_host: bool) -> None:
        """``context``: whom to trust, None for an ``http`` address."""
        self.webhook = webhook
        self.users = 0
        self.ip_address = ""
        self._found_until = 0.0
        self._any_host = any_host
        self._context = context
        self._place = place_of(webhook.url)
        self._headers = self._make_headers()
        self._session: aiohttp.ClientSession | None = None

    def _make_headers(self) -> dict[str, str]:
        host = self._place.host
        headers = {"Host": f"[{host}]" if ":" in host else host, "Content-Type": "application/json"}
        if self.webhook.secret_token:
            headers[SECRET_HEADER] = self.webhook.secret_token
        if self._place.authorization:
            headers["Authorization"] = self._place.authorization
        return headers

    async def post(self, body: bytes, limit_s: float) -> Outcome:
        """Send one update.

        Args:
            limit_s: how long that may take; half as long to connect.
        """
        try:
            async with asyncio.timeout(limit_s):
                await self._find()
                return await self._post(body, limit_s)
        except UnreachableError as error:
            return failed(str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return failed(words_for(error))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _find(self) -> None:
        now = monotonic_s()
        if now >= self._found_until:
            host = self.webhook.ip_address or self._place.host
            self.ip_address = await find(host, self._place.port, any_host=self._any_host)
            self._found_until = now + LOOKED_UP_S

    async def _post(self, body: bytes, limit_s: float) -> Outcome:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept"),
            )
        async with self._session.post(
            URL(self._place.url_at(self.ip_address), encoded=True),
            data=body,
            headers=self._headers,
            ssl=True if self._context is None else self._context,
            server_hostname=self._place.host if self._context is not None else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limit_s / 2),
        ) as response:
            return answered(
                response.status,
                response.reason or "",
                response.headers.get("Retry-After", ""),
                kept=_is_kept(response),
                content_type=response.content_type,
                body=await response.read(),
            )


def _is_kept(response: aiohttp.ClientResponse) -> bool:
    said = response.headers.get("Connection", "").lower()
    return said != "close" and (response.version != aiohttp.HttpVersion10 or said == "keep-alive")
