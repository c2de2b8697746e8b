"""The webhook server: where Telegram brings updates.

Runs in: master.
"""

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass

from aiohttp import web

from brama.clock import Clock, monotonic_s
from webhook.acceptor import Acceptor
from webhook.connection import Connection
from webhook.connections import Connections
from webhook.delivery import Delivery
from webhook.gate import Gate
from webhook.listener import bind
from webhook.ports import Door
from webhook.routes import Routes
from webhook.settings import Bounds, WebhookServerSettings
from webhook.stats import ServerStats
from webhook.tallies import Tallies, commit_stats
from webhook.tls import load_tls


@dataclass(frozen=True, slots=True)
class Inheritance:
    """File descriptors that one server leaves to the next: where it listens, and quiet clients."""

    listener: int
    clients: tuple[int, ...]


class WebhookServer:
    """Serves ``door`` from ``start`` to ``aclose``.

    Args:
        door: where updates go.
        settings: what the operator decides.
        api_token: ``api.token``, whose bearer may see the statistics from anywhere; None: nobody may.
        bounds: what a client may take.
        clock: monotonic seconds.
        inherited: what an earlier server has handed over; its listener is served in place of a new one.
    """

    def __init__(
        self,
        door: Door,
        settings: WebhookServerSettings,
        *,
        api_token: str | None,
        bounds: Bounds | None = None,
        clock: Clock = monotonic_s,
        inherited: Inheritance | None = None,
    ) -> None:
        self._door = door
        self._settings = settings
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._gate = Gate(settings)
        self._tallies = Tallies()
        self._connections = Connections(self._bounds, self._tallies, clock)
        self._delivery = Delivery(door, self._gate, self._tallies, self._bounds, clock)
        self._routes = Routes(door, self._delivery, self._gate, self._tallies, self.stats, api_token, clock)
        self._inherited = inherited
        self._listener: socket.socket | None = None
        self._tls: ssl.SSLContext | None = None
        self._server: web.Server | None = None
        self._acceptor: Acceptor | None = None
        self._sweep: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The address that is served; raises RuntimeError before ``bind``."""
        if self._listener is None:
            raise RuntimeError("not bound yet")
        address = self._listener.getsockname()
        return str(address[0]), int(address[1])

    def bind(self) -> None:
        """Read the certificate and take the address, so that trouble is known early; serves nothing yet.

        Raises:
            BramaError: a file or the address is not to be had, in one line.
        """
        self._tls = load_tls(self._settings)
        inherited = self._inherited
        self._listener = (
            bind(self._settings) if inherited is None else socket.socket(fileno=inherited.listener)
        )

    async def start(self) -> None:
        """Serve. Binds first if that has not been done."""
        if self._listener is None:
            self.bind()
        assert self._listener is not None
        server = self._server = web.Server(self._routes.handle)
        self._acceptor = Acceptor(
            self._listener,
            lambda is_adopted: Connection(
                server, self._connections, self._bounds, self._clock, is_adopted=is_adopted
            ),
            lambda: self._tls,
            self._connections,
            self._bounds,
        )
        self._acceptor.start()
        inherited, self._inherited = self._inherited, None
        for client in () if inherited is None else inherited.clients:
            self._acceptor.adopt(socket.socket(fileno=client))
        self._sweep = asyncio.get_running_loop().create_task(self._connections.sweep())

    def reconfigure(self, settings: WebhookServerSettings) -> None:
        """Put ``settings`` in force for new requests, with certificates as they are on disk now.

        Open connections stay. Port, address, and whether there is TLS count from the next start on.

        Raises:
            ConfigError: a certificate is of no use, in one line; nothing has changed.
        """
        if settings.has_tls == self._settings.has_tls:
            self._tls = load_tls(settings)
        self._settings = settings
        self._gate.apply(settings)
        self._tallies.forget(lambda bot_id: self._door.secret_of(bot_id) is not None)

    def drain(self) -> None:
        """Answer every update 503 from now on; those that are being written are answered as they end."""
        self._delivery.is_draining = True

    async def hand_over(self) -> Inheritance:
        """Accept nothing more, finish what has begun, and return what another server can go on with.

        Clients that come from now on wait for that one. ``aclose`` is still to be called.
        """
        assert self._listener is not None
        if self._acceptor is not None:
            self._acceptor.stop()
        return Inheritance(
            listener=os.dup(self._listener.fileno()),
            clients=tuple(await self._connections.hand_over(self._bounds.hold_s)),
        )

    async def aclose(self) -> None:
        """Stop listening, and end all connections within ``Bounds.shutdown_s``; safe to call twice."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            await acceptor.aclose()
        elif self._listener is not None:
            self._listener.close()
        if self._sweep is not None:
            self._sweep.cancel()
        if self._server is not None:
            self._server.pre_shutdown()
            # aiohttp waits twice: for the request, then for its connection.
            await self._server.shutdown(self._bounds.shutdown_s / 2)

    def stats(self) -> ServerStats:
        """Return all counts as they are now."""
        now = self._clock()
        total = self._tallies.total
        return ServerStats(
            accepted=total.accepted,
            duplicates=total.duplicates,
            refused=total.refused,
            connections=len(self._connections),
            serving=self._delivery.serving,
            draining=self._delivery.is_draining,
            commit=commit_stats(total.commits.summary(now)),
            bots=dict(self._tallies.bots(now)),
        )

    def last_seen_at(self, bot_id: str) -> float | None:
        """Return when the bot's last request came that was let in: right secret, allowed network.

        Monotonic seconds; None: none has come, or the bot is unknown.
        """
        tally = self._tallies.find(bot_id)
        return None if tally is None else tally.last_seen_at

    def last_refused_at(self, bot_id: str) -> float | None:
        """Return when the last request came for this bot with a wrong secret, in monotonic seconds."""
        tally = self._tallies.find(bot_id)
        return None if tally is None else tally.last_refused_at
