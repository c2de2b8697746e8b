"""Ports for servers that cannot say which one they got: free ones on the loopback address."""

import random
import socket

#: Below the ports that Linux gives to outgoing connections (32768 and above): a server that is restarted
#: there never finds its port taken by a connection that somebody opened meanwhile.
_RANGE = range(20_000, 32_000)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now.

    Another process could take it before its user binds it.
    """
    while True:
        port = random.SystemRandom().choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
