"""Binds the webhook server's address, or says in one line why that cannot be.

Runs in: master.
"""

import errno
import os
import socket

from brama.errors import BramaError
from webhook.settings import WebhookServerSettings

#: Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
_BACKLOG = 1024
_ANY_IPV6 = "::"
_ANY_IPV4 = "0.0.0.0"


class ListenError(BramaError):
    """The address is not to be had: another process listens there, or it is none of this machine's."""


def bind(settings: WebhookServerSettings) -> socket.socket:
    """Return a non-blocking listening socket where ``settings`` say.

    Raises:
        ListenError: the address is taken, or none of this machine's.
    """
    host = settings.listen or (_every_address() if settings.has_tls else "127.0.0.1")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ListenError(
            f'webhook.listen: "{host}" is no address of this machine: {error.strerror}; use 127.0.0.1'
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" is every address, of IPv4 too: Telegram comes by no other.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != _ANY_IPV6))
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ListenError(_why_not_bound(host, settings.port, error)) from error
    return listener


def _every_address() -> str:
    return _ANY_IPV6 if socket.has_dualstack_ipv6() else _ANY_IPV4


def _why_not_bound(host: str, port: int, error: OSError) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"webhook.port: {where} is taken by another process; set another webhook.port, or end that "
            f"process (ss -ltnp 'sport = :{port}' shows it)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f'webhook.listen: "{host}" is no address of this machine; use 127.0.0.1'
    if error.errno == errno.EACCES:
        return f"webhook.port: {port} may be opened by root only; set webhook.port to 8443"
    reason = os.strerror(error.errno) if error.errno else error
    return f"webhook.port: {where} cannot be listened on: {reason}"
