"""Listens until told to stop."""

import asyncio
import resource
import signal
import socket
import ssl
import sys
from dataclasses import dataclass

from aiohttp import web

from sandbox.api.http import Report
from sandbox.app import build_app, build_courier
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


def say(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(line + "\n")


def lift_file_limit() -> None:
    """Allow as many connections as the system lets us: each bot keeps two or more open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True, slots=True)
class Terms:
    """How to serve.

    Attributes:
        host: the address that is listened on.
        roots: whom to trust where a webhook came without a certificate of its own.
        any_host: deliver to webhooks on other machines too.
        report: told of refused calls: that is what a bot's author looks for.
    """

    host: str
    roots: ssl.SSLContext
    any_host: bool = False
    report: Report | None = say


async def serve(sock: socket.socket, terms: Terms) -> None:
    """Serve until SIGTERM or SIGINT, saying where in one line on standard output."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    world = World()
    runner = web.AppRunner(
        build_app(world, terms.host, terms.report), access_log=None, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    try:
        async with asyncio.TaskGroup() as tasks:
            courier = build_courier(world, tasks, terms.roots, terms.report, any_host=terms.any_host)
            await web.SockSite(runner, sock, backlog=BACKLOG).start()
            _announce(sock, terms.host)
            await stopping.wait()
            world.reset()
            await courier.close()
    finally:
        await runner.cleanup()


def _announce(sock: socket.socket, host: str) -> None:
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"sandbox listening on http://{shown}:{sock.getsockname()[1]}\n")
    sys.stdout.flush()
