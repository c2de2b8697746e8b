"""Ports for servers that cannot say which one they got: free ones on the loopback address."""

import socket


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now.

    Another process could take it before its user binds it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
