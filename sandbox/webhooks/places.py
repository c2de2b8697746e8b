"""Where webhooks are: the parts of their addresses, and the machines that these name."""

import asyncio
import socket
from base64 import b64encode
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from sandbox.webhooks.tls import is_address

#: What may stand in a path and a query.
AS_GIVEN = "%/?:@!$&'()*+,;=-._~[]"
#: Where every machine finds itself.
LOOPBACK = "127.0.0.1"
ELSEWHERE = "the sandbox delivers to this machine only, which {host} is not; --any-host lifts that"


class UnreachableError(Exception):
    """There is no way to a host; the text is what ``getWebhookInfo`` shows."""


@dataclass(frozen=True, slots=True)
class Place:
    """A webhook's address in parts.

    Attributes:
        target: path and query, as they were given.
        authorization: the header of that name, or empty.
    """

    secure: bool
    host: str
    port: int
    target: str
    authorization: str

    @property
    def ip_address(self) -> str:
        """The host's IP address if it needs no looking up, else empty."""
        if is_address(self.host):
            return self.host
        return LOOPBACK if is_loopback(self.host) else ""

    def url_at(self, ip: str) -> str:
        """Return the address with the host's IP address in the place of its name."""
        shown = f"[{ip}]" if ":" in ip else ip
        return f"{'https' if self.secure else 'http'}://{shown}:{self.port}{self.target}"


def place_of(url: str) -> Place:
    """Take a webhook's address apart.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError(url)
    host = parts.hostname if is_address(parts.hostname) else parts.hostname.encode("idna").decode("ascii")
    secure = parts.scheme == "https"
    userinfo, at, _ = parts.netloc.rpartition("@")
    return Place(
        secure,
        host,
        parts.port or (443 if secure else 80),
        quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=AS_GIVEN),
        f"Basic {b64encode(unquote(userinfo).encode()).decode('ascii')}" if at else "",
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, whatever network it is on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def find(host: str, port: int, *, any_host: bool) -> str:
    """Return the IP address of a host; only IPv4 is looked up, as Telegram does.

    Args:
        host: a name or an IP address.
        any_host: it may be another machine than this one.

    Raises:
        UnreachableError: there is none, or it may not be reached.
    """
    ip = host if is_address(host) else LOOPBACK if is_loopback(host) else await _look_up(host, port)
    if not any_host and not _is_own(ip):
        raise UnreachableError(ELSEWHERE.format(host=host))
    return ip


async def _look_up(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UnreachableError(f"Failed to resolve host: {error.strerror}") from None
    return str(found[0][4][0])


def _is_own(ip: str) -> bool:
    """Tell whether an IP address is one of this machine: others cannot be bound."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True
