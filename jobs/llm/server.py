"""The LLM backend's HTTP server.

Runs in: master.
"""

import asyncio
import contextlib
import os
import socket

from aiohttp import web

from brama.clock import Clock, monotonic_s
from brama.errors import ConfigError
from brama.listening import listen
from brama.redaction import register_secrets
from jobs.engine.port import JobQueue
from jobs.llm.answers import answer_errors
from jobs.llm.desk import Desk
from jobs.llm.ledger import TaskLedger
from jobs.llm.mourner import Mourner
from jobs.llm.routes import MAX_BODY_BYTES, Routes
from jobs.llm.terms import BackendTerms
from jobs.producer import Producer
from jobs.storage.database import Database
from jobs.storage.outbox import Outbox

_KEEPALIVE_S = 15.0
#: For requests that are being answered when the server closes.
_SHUTDOWN_S = 5.0


class BackendServer:
    """Serves ``POST /api/process``, ``GET /api/process/{taskId}`` and ``GET /health``.

    Args:
        terms: the operator's.
        producer: takes tasks over; its ``run`` goes on beside.
        queue: the engine.
        database: of the state directory, the producer's and the workers'.
        clock: monotonic seconds.
        listener: the listening socket of the server before this one, if that handed it over.
    """

    def __init__(
        self,
        terms: BackendTerms,
        producer: Producer,
        queue: JobQueue,
        database: Database,
        *,
        clock: Clock = monotonic_s,
        listener: socket.socket | None = None,
    ) -> None:
        self._terms = terms
        ledger = TaskLedger(database)
        self._routes = Routes(terms, Desk(producer, queue, Outbox(database), ledger, clock), clock)
        self._mourner = Mourner(producer, ledger)
        self._listener = listener
        self._closing = contextlib.AsyncExitStack()

    @property
    def address(self) -> tuple[str, int]:
        """The address that is served; raises RuntimeError before ``bind``."""
        if self._listener is None:
            raise RuntimeError("not bound yet")
        address = self._listener.getsockname()
        return str(address[0]), int(address[1])

    def bind(self) -> None:
        """Take the address, so that trouble is known early; serves nothing yet.

        Raises:
            ConfigError: there is no key, so nobody could ask.
            ListenError: the address is taken, or none of this machine's.
        """
        if not self._terms.api_keys:
            raise ConfigError("jobs.backend.api_keys: is empty, nobody could ask; set ALLOWED_API_KEY")
        register_secrets(*self._terms.secrets)
        if self._listener is None:
            self._listener = bind(self._terms.host, self._terms.port)

    async def start(self) -> None:
        """Serve. Binds first if that has not been done."""
        if self._listener is None:
            self.bind()
        assert self._listener is not None
        self._closing.callback(self._listener.close)
        app = web.Application(middlewares=[answer_errors, self._routes.guard], client_max_size=MAX_BODY_BYTES)
        app.add_routes(self._routes.table())
        runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=_KEEPALIVE_S, shutdown_timeout=_SHUTDOWN_S
        )
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        assert runner.server is not None
        server = await asyncio.get_running_loop().create_server(runner.server, sock=self._listener)
        self._closing.callback(server.close)
        mourning = asyncio.create_task(self._mourner.run(), name="llm-mourner")
        self._closing.push_async_callback(_end, mourning)

    def hand_over(self) -> int:
        """Return a file descriptor of the listener for the next server, which serves who connects now."""
        assert self._listener is not None
        return os.dup(self._listener.fileno())

    async def aclose(self) -> None:
        """Stop listening, and answer what was being asked within 5 s; safe to call twice."""
        await self._closing.aclose()


async def _end(task: asyncio.Task[None]) -> None:
    while not task.done():
        task.cancel()  # again, should redis-py take it for its own time limit
        await asyncio.wait([task], timeout=1.0)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ListenError: the address is taken, or none of this machine's.
    """
    return listen(host, port, host_key="jobs.backend.host", port_key="jobs.backend.port", instead=5001)
