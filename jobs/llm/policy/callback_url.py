"""Decides which addresses may be called back.

A URL is taken apart by rules of our own, narrower than those of any client: what two parsers could read in
two ways is refused. Hosts are compared with a list as text, so that no other spelling of an address on it, or
of one inside the network, gets through.

Pure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

MAX_URL_CHARACTERS = 2048
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[/?].*)?")
#: What RFC 3986 lets a path and a query be made of; anything else comes percent-encoded.
_REST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
#: IPv4 addresses in the clothes of IPv6, beside those that ipaddress knows.
_NAT64 = IPv6Network("64:ff9b::/96")

#: A host in lower case, IPv6 in its shortest form without brackets, and a port.
HostPort = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be called back, taken apart."""

    scheme: str
    host: str
    port: int
    rest: str

    @property
    def url(self) -> str:
        """The address, in the one spelling that is used from here on."""
        return f"{self.scheme}://{spell((self.host, self.port))}{self.rest}"


@dataclass(frozen=True, slots=True)
class Refused:
    """An address that is not called back; ``reason`` is one line that says what is allowed."""

    reason: str


def judge_url(text: str, allowed: frozenset[HostPort]) -> Target | Refused:
    """Return what to call for ``text``, or why it is not called."""
    if len(text) > MAX_URL_CHARACTERS:
        return Refused(f"is longer than {MAX_URL_CHARACTERS} characters")
    found = _URL.fullmatch(text)
    if found is None or found["scheme"].lower() not in _DEFAULT_PORTS:
        return Refused("is not an http:// or https:// address")
    scheme, authority, rest = found["scheme"].lower(), found["authority"], found["rest"] or "/"
    if "@" in authority:
        return Refused("holds a user name; write only HOST:PORT after the scheme")
    if "#" in text:
        return Refused("holds a fragment; leave out # and what follows")
    if not _REST.fullmatch(rest):
        return Refused("holds characters that must be percent-encoded in a path or query")
    place = _read_authority(authority, _DEFAULT_PORTS[scheme])
    if isinstance(place, Refused):
        return place
    if place not in allowed:
        names = ", ".join(sorted(map(spell, allowed))) or "none; set jobs.backend.callback_hosts"
        return Refused(f"leads to {spell(place)}, which may not be called back; allowed: {names}")
    return Target(scheme, *place, f"/{rest}" if rest.startswith("?") else rest)


def judge_address(host: str, address: str) -> str | None:
    """Return why ``address``, to which ``host`` was resolved, is not connected to; None if it is.

    Hosts on the list may be inside the network. What no backend listens on is refused all the same:
    link-local addresses (clouds keep their metadata there), multicast and the unspecified address. A host
    that is written as an address is what the operator wrote.
    """
    found = ip_address(address)
    if address == host:
        return None
    for each in (found, *_inner(found)):
        if each.is_link_local or each.is_multicast or each.is_unspecified or each == IPv4Address(0xFFFFFFFF):
            return f"{host} leads to {address}, which is not called back"
    return None


def parse_hosts(entries: Iterable[str]) -> frozenset[HostPort]:
    """Return the hosts that ``entries`` name, each as ``HOST:PORT`` or as an address ``http://HOST…``.

    Raises:
        ValueError: one is neither.
    """
    return frozenset(_parse_host(entry) for entry in entries)


def spell(place: HostPort) -> str:
    """Return ``place`` as ``HOST:PORT``."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse_host(entry: str) -> HostPort:
    found = _URL.fullmatch(entry)
    default = _DEFAULT_PORTS.get(found["scheme"].lower()) if found else 0
    place = (
        Refused("") if default is None else _read_authority(found["authority"] if found else entry, default)
    )
    if isinstance(place, Refused) or place[1] == 0:
        raise ValueError(f'callback_hosts: "{entry}" is no host with a port; write backend:5000')
    return place


def _read_authority(authority: str, default_port: int) -> HostPort | Refused:
    if authority.startswith("["):
        text, bracket, after = authority[1:].partition("]")
        host = _read_ipv6(text) if bracket else None
        if host is None or (after and not after.startswith(":")):
            return Refused("holds an IPv6 address that is none; write [2001:db8::1]:5000")
        port_text = after[1:] if after else None
    else:
        host, colon, port_text = authority.lower().partition(":")
        port_text = port_text if colon else None
        if not _NAME.fullmatch(host):
            return Refused("holds no plain host name; write letters, digits, - and . without one at the end")
        last = host.rpartition(".")[2]
        if (last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last)) and not _is_ipv4(host):
            return Refused("holds an address in an unusual form; write four decimal numbers, as 192.0.2.1")
    if port_text is None:
        return host, default_port
    if not _PORT.fullmatch(port_text) or int(port_text) > 65535:
        return Refused("holds a port that is none; write 1 to 65535")
    return host, int(port_text)


def _read_ipv6(text: str) -> str | None:
    try:
        return None if "%" in text else str(IPv6Address(text))
    except ValueError:
        return None


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _inner(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address carries inside."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
