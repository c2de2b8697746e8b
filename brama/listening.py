"""Binds a server's TCP address, or says in one line why that cannot be.

Runs in: master.
"""

import errno
import os
import socket

from brama.errors import BramaError

#: Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
_BACKLOG = 1024
_ANY_IPV6 = "::"


class ListenError(BramaError):
    """The address is not to be had: another process listens there, or it is none of this machine's."""


def listen(host: str, port: int, *, host_key: str, port_key: str, instead: int) -> socket.socket:
    """Return a non-blocking listening socket at ``host``:``port``.

    Args:
        host: an address or name of this machine; "::" is every address, of IPv4 too.
        port: 0 takes any free one.
        host_key: the setting that says the host, for errors.
        port_key: likewise the port.
        instead: a port that needs no root.

    Raises:
        ListenError: the address is taken, or none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ListenError(
            f'{host_key}: "{host}" is no address of this machine: {error.strerror}; use 127.0.0.1'
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != _ANY_IPV6))
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ListenError(_why_not(host, port, error, host_key, port_key, instead)) from error
    return listener


def _why_not(host: str, port: int, error: OSError, host_key: str, port_key: str, instead: int) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{port_key}: {where} is taken by another process; set another {port_key}, or end that process "
            f"(ss -ltnp 'sport = :{port}' shows it)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f'{host_key}: "{host}" is no address of this machine; use 127.0.0.1'
    if error.errno == errno.EACCES:
        return f"{port_key}: {port} may be opened by root only; set {port_key} to {instead}"
    reason = os.strerror(error.errno) if error.errno else error
    return f"{port_key}: {where} cannot be listened on: {reason}"
