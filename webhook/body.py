"""Reads a request's body, with a bound on its size and on the time it takes.

Runs in: master.
"""

import asyncio

from aiohttp import StreamReader, web
from aiohttp.http import HttpVersion11

from webhook.policy.outcomes import Outcome

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def find_fault(request: web.BaseRequest, max_bytes: int) -> Outcome | None:
    """Return why a body is refused by what its headers say of it, None if it is worth reading."""
    headers = request.headers
    kind = headers.get("Content-Type", "").partition(";")[0]
    if kind.strip().lower() != "application/json":
        return Outcome.CONTENT_TYPE
    if "Content-Encoding" in headers:
        return Outcome.CONTENT_ENCODING
    return Outcome.TOO_LARGE if (request.content_length or 0) > max_bytes else None


async def read_body(request: web.BaseRequest, max_bytes: int, timeout_s: float) -> bytes | Outcome:
    """Return the body, or why there is none: TOO_LARGE, SLOW or BROKEN_OFF.

    Args:
        request: of which nothing has been read.
        max_bytes: the largest body that is taken in.
        timeout_s: from now to the body's last byte.
    """
    content = request.content
    try:
        if content.is_eof():  # all of it came with the headers
            raw = content.read_nowait(-1)
            return raw if len(raw) <= max_bytes else Outcome.TOO_LARGE
        async with asyncio.timeout(timeout_s):
            if (
                request.version == HttpVersion11
                and request.headers.get("Expect", "").lower() == "100-continue"
            ):
                await request.writer.write(_CONTINUE)
            return await _read_on(content, max_bytes)
    except TimeoutError:
        return Outcome.SLOW
    except Exception:  # whatever aiohttp makes of a broken chunk or a lost connection
        return Outcome.BROKEN_OFF


async def _read_on(content: StreamReader, max_bytes: int) -> bytes | Outcome:
    body = bytearray()
    while True:
        piece = await content.readany()
        body += piece
        if len(body) > max_bytes:
            return Outcome.TOO_LARGE
        if not piece and content.at_eof():
            return bytes(body)
