"""Keeps the control API to this machine: no other host, and no browser page of another origin."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web


def refusal(request: web.Request, listening_host: str) -> str | None:
    """Return why a request may not use the control API, None when it may.

    The Host header is checked because a page of another origin can have its own name resolve to 127.0.0.1,
    the Origin header because such a page may send requests whose answers it cannot read.
    """
    if not _is_local_peer(request):
        return "the control API answers this machine only"
    host = request.headers.get("Host", "")
    if not _is_local_name(_hostname(f"//{host}"), listening_host):
        return f"Host {host!r} is not this machine; use http://127.0.0.1"
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return f"Origin {origin!r} is another site"
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "requests of another site are refused"
    return None


def _is_local_peer(request: web.Request) -> bool:
    transport = request.transport
    if transport is None:
        return False
    peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return bool(peer) and (_is_loopback(str(peer[0])) or peer[0] == own[0])


def _is_local_name(name: str | None, listening_host: str) -> bool:
    return name is not None and (name in ("localhost", listening_host) or _is_loopback(name))


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
