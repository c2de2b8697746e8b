"""Listens until told to stop."""

import asyncio
import resource
import signal
import socket
import sys

from aiohttp import web

from sandbox.app import build_app
from sandbox.state.world import World

#: Time open requests get when the sandbox stops, in seconds.
SHUTDOWN_S = 0.2
#: Connections that may wait to be accepted: a fleet connects all at once.
BACKLOG = 4096


def open_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def lift_file_limit() -> None:
    """Allow as many connections as the system lets us: each bot keeps two or more open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve(sock: socket.socket, host: str, *, quiet: bool) -> None:
    """Serve until SIGTERM or SIGINT, saying where in one line on standard output.

    Unless ``quiet``, refused calls are named on standard error: that is what a bot's author looks for.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    world = World()
    app = build_app(world, host, report=None if quiet else _say)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.SockSite(runner, sock, backlog=BACKLOG).start()
        port = sock.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"sandbox listening on http://{shown}:{port}\n")
        sys.stdout.flush()
        await stopping.wait()
        world.reset()
    finally:
        await runner.cleanup()
