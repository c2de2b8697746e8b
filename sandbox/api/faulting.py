"""Makes a scripted fault happen to an HTTP answer."""

import asyncio
import socket
import struct

from aiohttp import web

from sandbox.api.errors import OTHER_POLL, ApiError, conflict, too_many_requests
from sandbox.api.presence import ClientGoneError, Presence
from sandbox.policy.faults import Fault, FaultKind
from sandbox.state.bot import encode

#: Statuses that a proxy in front of the servers answers, with a page of its own.
PROXY_STATUSES = frozenset({502, 503, 504})
REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
#: Neither JSON nor UTF-8.
GARBAGE = b"\xff\xfe<html>\x00 not JSON {]"
#: What a drip writes at a time is chosen so that it writes about this often a second.
DRIPS_PER_SECOND = 10


async def answer_instead(request: web.Request, fault: Fault, presence: Presence) -> web.StreamResponse | None:
    """Let a fault happen before the request has any effect.

    Returns:
        what to answer, or None when the fault was a delay and the normal answer follows.

    Raises:
        ConnectionError: the client hung up.
    """
    if fault.kind is FaultKind.HANG:
        await presence.sleep(request, fault.seconds)
        return None
    return await spoil(request, fault, presence, (200, b""))


async def spoil(
    request: web.Request, fault: Fault, presence: Presence, answer: tuple[int, bytes]
) -> web.StreamResponse:
    """Let a fault happen to the answer, status and body, of a request that had its effect.

    Raises:
        ConnectionError: the client hung up.
    """
    status, body = answer
    match fault.kind:
        case FaultKind.HANG:
            await presence.sleep(request, fault.seconds)
        case FaultKind.HALF_OPEN:
            return await _half_open(request, fault)
        case FaultKind.RESET:
            return _reset(request)
        case FaultKind.DRIP:
            return await _drip(request, fault, status, body)
        case FaultKind.TRUNCATE:
            return await _truncate(request, fault, status, body)
        case FaultKind.GARBAGE:
            return web.Response(body=GARBAGE, headers=fault.headers, content_type="application/json")
        case FaultKind.CONFLICT:
            return _error(conflict(OTHER_POLL), fault)
        case FaultKind.RETRY_AFTER:
            return _error(too_many_requests(int(fault.seconds or 1)), fault)
        case FaultKind.STATUS:
            return _status(fault)
    return web.Response(status=status, body=body, headers=fault.headers, content_type="application/json")


def _error(error: ApiError, fault: Fault) -> web.Response:
    headers = dict(fault.headers)
    if error.retry_after_s is not None:
        headers.setdefault("Retry-After", str(error.retry_after_s))
    return web.Response(
        status=error.code, body=encode(error.as_json()), headers=headers, content_type="application/json"
    )


def _status(fault: Fault) -> web.Response:
    reason = fault.description or REASONS.get(fault.status, "Error")
    if fault.status in PROXY_STATUSES:
        page = f"<html><head><title>{fault.status} {reason}</title></head><body></body></html>"
        return web.Response(status=fault.status, text=page, headers=fault.headers, content_type="text/html")
    return _error(ApiError(fault.status, reason), fault)


def _transport(request: web.Request) -> asyncio.Transport:
    transport = request.transport
    if transport is None:
        raise ClientGoneError("the client hung up")
    return transport


def _reset(request: web.Request) -> web.StreamResponse:
    transport = _transport(request)
    sock = transport.get_extra_info("socket")
    # Lingering for no time turns the close into a reset.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()


async def _half_open(request: web.Request, fault: Fault) -> web.StreamResponse:
    transport = _transport(request)
    transport.pause_reading()
    try:
        async with asyncio.timeout(fault.seconds):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        pass
    finally:
        transport.abort()
    return web.Response()


async def _begin(request: web.Request, fault: Fault, status: int, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=fault.headers)
    response.content_type = "application/json"
    response.content_length = len(body)
    await response.prepare(request)
    return response


async def _drip(request: web.Request, fault: Fault, status: int, body: bytes) -> web.StreamResponse:
    seconds = fault.seconds if fault.seconds is not None else 5.0
    steps = max(1, min(len(body), int(seconds * DRIPS_PER_SECOND)))
    size = -(-len(body) // steps)
    response = await _begin(request, fault, status, body)
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / steps)
        await response.write(body[start : start + size])
    await response.write_eof()
    return response


async def _truncate(request: web.Request, fault: Fault, status: int, body: bytes) -> web.StreamResponse:
    response = await _begin(request, fault, status, body)
    await response.write(body[: len(body) // 2])
    _transport(request).close()
    return response
