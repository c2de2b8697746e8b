"""Binds the webhook server's address.

Runs in: master.
"""

import socket

from brama.listening import listen
from webhook.settings import WebhookServerSettings


def bind(settings: WebhookServerSettings) -> socket.socket:
    """Return a non-blocking listening socket where ``settings`` say.

    Raises:
        ListenError: the address is taken, or none of this machine's.
    """
    return listen(
        settings.listen or (_every_address() if settings.has_tls else "127.0.0.1"),
        settings.port,
        host_key="webhook.listen",
        port_key="webhook.port",
        instead=8443,
    )


def _every_address() -> str:
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
