"""Decides who may do what over TCP.

Anybody who can reach the port may be a web page in the operator's browser: the name in ``Host`` shows a DNS
rebinding, ``Origin`` a page of another origin. Neither can know the token, so a request that carries it is
let through; one without it may only read, and only from this machine.
"""

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What the decision needs to know of a request.

    ``is_reading`` is true for routes that change nothing and show nobody's messages. ``peer`` is the other
    end's address, ``host`` the Host header, ``origin`` and ``authorization`` those headers or None.
    """

    is_reading: bool
    peer: str
    host: str
    origin: str | None
    authorization: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status and the sentence that says why, and what to do."""

    status: int
    text: str


def decide_access(request: Request, token: str | None, api_host: str) -> Refusal | None:
    """Return why ``request`` is refused, or None if it may pass.

    ``token`` is ``api.token``, empty or None when unset; ``api_host`` is ``api.host``.
    """
    if token and _carries(request.authorization, token):
        return None
    if not _is_own_name(request.host, api_host):
        return Refusal(
            403, "this Host is not served; ask for 127.0.0.1 or localhost, or send api.token as a bearer"
        )
    if request.origin is not None and not _is_same_origin(request.origin, request.host):
        return Refusal(403, "pages of another origin may not use this API")
    if request.is_reading and is_loopback(request.peer):
        return None
    if not token:
        return Refusal(
            403,
            "this needs api.token, which is not configured: set it, or use the brama-supervisor command "
            "on the master's machine",
        )
    return Refusal(401, "this needs the bearer token of api.token")


def is_loopback(host: str) -> bool:
    """Return whether ``host``, a name or an address, can only be this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def _carries(authorization: str | None, token: str) -> bool:
    scheme, _, given = (authorization or "").partition(" ")
    # Compared as bytes: compare_digest takes no text beyond ASCII, and its time shows nothing of the token.
    matches = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.encode())
    return matches and scheme.lower() == "bearer"


def _is_own_name(host: str, api_host: str) -> bool:
    name = _host_name(host)
    return is_loopback(name) or name == api_host.lower() or _address(name) is not None


def _is_same_origin(origin: str, host: str) -> bool:
    return origin.lower() == f"http://{host.lower()}"


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
