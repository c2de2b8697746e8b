"""Decides who a request really comes from, and whether that is one of Telegram's addresses.

A header is worth what the peer is worth that sends it: X-Real-IP is read when the TCP connection comes from a
trusted proxy, and at no other time. X-Forwarded-For, which whoever asks can fill at will, is never read.

Pure.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Characters of the longest address, an IPv6 one that maps an IPv4 one.
_LONGEST_ADDRESS = 45
#: Answers that are remembered; Telegram delivers from a few hundred addresses.
_REMEMBERED = 4096


class Mode(StrEnum):
    """What ``webhook.networks`` says."""

    OFF = "off"
    WARN = "warn"
    ENFORCE = "enforce"


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of ``149.154.160.0/20`` and the like; a ValueError if one is none."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def parse_address(text: str) -> Address | None:
    """Return the address that ``text`` is, None if it is none; an IPv4 address mapped into IPv6 is IPv4."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    try:
        address = ipaddress.ip_address(text.strip(" \t").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Networks:
    """Tells real clients and Telegram's addresses, remembering the last few thousand answers.

    Args:
        trusted: networks of proxies whose X-Real-IP is believed.
        telegram: networks that Telegram delivers from.
    """

    def __init__(self, trusted: Sequence[Network], telegram: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self._telegram = tuple(telegram)
        self._resolve = lru_cache(_REMEMBERED)(self._resolve_anew)
        self._is_telegram = lru_cache(_REMEMBERED)(self._is_telegram_anew)

    def real_client(self, peer: str | None, stated: Sequence[str]) -> Address | None:
        """Return who asks, None if that cannot be told.

        Args:
            peer: the address at the other end of the TCP connection.
            stated: the values of all X-Real-IP headers, in order.
        """
        # Long ones are not remembered, so that memory is bounded in bytes too.
        claims = tuple("" if len(claim) > _LONGEST_ADDRESS else claim for claim in stated[:2])
        return self._resolve(peer or "", claims)

    def is_telegram(self, client: Address | None) -> bool:
        """Return whether ``client`` is in one of Telegram's networks; nobody is not."""
        return client is not None and self._is_telegram(client)

    def _resolve_anew(self, peer: str, claims: tuple[str, ...]) -> Address | None:
        address = parse_address(peer)
        if address is None or not claims or not _is_in(address, self._trusted):
            return address
        return parse_address(claims[0]) if len(claims) == 1 else None

    def _is_telegram_anew(self, client: Address) -> bool:
        return _is_in(client, self._telegram)


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
