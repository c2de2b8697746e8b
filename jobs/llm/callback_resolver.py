"""Resolves the hosts of callbacks to addresses that may be connected to, and to no others.

What this returns is what is connected to: nobody asks a second time, so a name that changes its address
between the check and the connection changes nothing.

Runs in: job worker.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from jobs.llm.policy.callback_url import judge_address

#: Returns the addresses of (host, port, family).
Lookup = Callable[[str, int, int], Awaitable[list[str]]]


class RefusedAddressError(OSError):
    """A host leads to an address that is not called back."""


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver of one callback.

    Args:
        lookup: the system's, unless a test has its own.
    """

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._lookup = lookup or _look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return where ``host`` is.

        Raises:
            RefusedAddressError: one of its addresses is not called back; then none is.
            OSError: it is not known.
        """
        addresses = await self._lookup(host, port, family)
        for address in addresses:
            if reason := judge_address(host, address):
                raise RefusedAddressError(reason)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Hold nothing."""


async def _look_up(host: str, port: int, family: int) -> list[str]:
    found: list[Any] = await asyncio.get_running_loop().getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return list(dict.fromkeys(address[0] for *_, address in found))
