"""The control API's server: one set of routes, on a unix socket for this machine's operator and on TCP.

Runs in: master.
"""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from aiohttp import web

from supervisor.control.answers import Handler, answer_errors, error_answer
from supervisor.control.dead_letter_routes import DeadLetterRoutes
from supervisor.control.job_ports import Jobs
from supervisor.control.job_routes import JobRoutes
from supervisor.control.listeners import bind_tcp
from supervisor.control.policy.access import Request, decide_access
from supervisor.control.ports import Master
from supervisor.control.routes import READING, FleetRoutes
from supervisor.control.unix_endpoint import UnixEndpoint

#: Requests are names and numbers.
MAX_REQUEST_BYTES = 256 * 1024
KEEPALIVE_TIMEOUT_S = 15.0
#: A client that reads slowly must not delay the end of the master.
SHUTDOWN_TIMEOUT_S = 1.0


class ControlServer:
    """Serves ``master`` until closed.

    Args:
        master: who answers.
        state_dir: absolute; the unix socket is in it, or where ``socket_path`` says.
        host: ``api.host``; other than loopback needs ``token``.
        port: ``api.port``; 0 takes any free one.
        token: ``api.token``; without it nothing can be changed over TCP.
        stop_timeout_s: ``stop.timeout`` in seconds, told to those who ask the master to stop.
        jobs: the job queue, None when jobs are off.
        unix: the listening socket of the server before this one, if that handed it over.
        tcp: likewise.
    """

    def __init__(
        self,
        master: Master,
        *,
        state_dir: Path,
        host: str,
        port: int,
        token: str | None,
        stop_timeout_s: float,
        jobs: Jobs | None = None,
        unix: socket.socket | None = None,
        tcp: socket.socket | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._fleet = FleetRoutes(master, stop_timeout_s)
        self._dead_letters = DeadLetterRoutes(master)
        self._jobs = JobRoutes(jobs)
        self._closing = contextlib.AsyncExitStack()
        self._tcp = tcp
        self._unix = UnixEndpoint(state_dir, unix)
        self._is_bound = False

    @property
    def tcp_address(self) -> tuple[str, int]:
        """The address that is served; raises RuntimeError before ``bind``."""
        if self._tcp is None:
            raise RuntimeError("not bound yet")
        address = self._tcp.getsockname()
        return str(address[0]), int(address[1])

    def bind(self) -> None:
        """Take both addresses, so that a taken one is known before any bot starts; serves nothing yet.

        The caller holds the state directory's lock.

        Raises:
            BramaError: an address is not to be had, in one line.
        """
        tcp = self._tcp or bind_tcp(self._host, self._port, self._token)
        try:
            self._unix.bind()
        except BaseException:
            tcp.close()
            raise
        self._tcp, self._is_bound = tcp, True
        self._closing.callback(tcp.close)
        self._closing.callback(self._unix.close)

    async def start(self) -> None:
        """Serve. Binds first if that has not been done."""
        if not self._is_bound:
            self.bind()
        assert self._tcp is not None
        loop = asyncio.get_running_loop()
        await self._unix.serve(await self._protocol(guarded=False))
        self._closing.push_async_callback(self._unix.stop)
        tcp_server = await loop.create_server(await self._protocol(guarded=True), sock=self._tcp)
        self._closing.callback(tcp_server.close)

    def hand_over(self) -> tuple[int, int]:
        """Return file descriptors of the unix and the TCP listener for the next server.

        Who connects after ``aclose`` waits for that one.
        """
        assert self._tcp is not None
        return self._unix.hand_over(), os.dup(self._tcp.fileno())

    async def aclose(self) -> None:
        """Stop listening, end open connections within SHUTDOWN_TIMEOUT_S, remove the unix socket."""
        await self._closing.aclose()

    async def _protocol(self, *, guarded: bool) -> web.Server:
        middlewares = [answer_errors, self._guard] if guarded else [answer_errors]
        app = web.Application(middlewares=middlewares, client_max_size=MAX_REQUEST_BYTES)
        app.add_routes([*self._fleet.table(), *self._dead_letters.table(), *self._jobs.table()])
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        assert runner.server is not None
        return runner.server

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        facts = Request(
            # A path that does not exist shows nothing either.
            is_reading=resource is None or resource.canonical in READING,
            peer=request.remote or "",
            host=request.headers.get("Host", ""),
            origin=request.headers.get("Origin"),
            authorization=request.headers.get("Authorization"),
        )
        if refusal := decide_access(facts, self._token, self._host):
            return error_answer(refusal.status, refusal.text)
        return await handler(request)
