"""Takes connections from the listening socket, as many as there is room for.

Not asyncio's own server: that bounds neither connections nor handshakes, and holds one TLS context for good.

Runs in: master.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from brama.log import get_logger
from webhook.connection import Connection
from webhook.connections import Connections
from webhook.settings import Bounds

#: A client that does not answer the end of TLS is not waited for.
_TLS_END_S = 2.0
#: Accepted in one go before others of the loop get their turn.
_AT_A_TIME = 64
#: Out of file descriptors or memory: somebody else has to give some back first.
_PAUSE_S = 0.5
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
log = get_logger(__name__)


class Acceptor:
    """Opens connections, from ``start`` to ``aclose``.

    Args:
        listener: listening, non-blocking; it is closed with the acceptor.
        make: returns a connection that is not open yet, told whether another acceptor has accepted it.
        tls: returns the context for the next connection, None: plain.
        connections: knows whether there is room for one more.
        bounds: how long a handshake may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[bool], Connection],
        tls: Callable[[], ssl.SSLContext | None],
        connections: Connections,
        bounds: Bounds,
    ) -> None:
        self._listener = listener
        self._make = make
        self._tls = tls
        self._connections = connections
        self._handshake_s = bounds.handshake_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._resumption: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Accept from now on."""
        self._resumption = None
        self._loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept nothing more; what is being opened goes on."""
        if self._resumption is not None:
            self._resumption.cancel()
        self._loop.remove_reader(self._listener)

    def adopt(self, client: socket.socket) -> None:
        """Open a connection that another acceptor has accepted."""
        self._begin(client, is_adopted=True)

    async def aclose(self) -> None:
        """Accept nothing more; what is being opened is ended."""
        self.stop()
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_AT_A_TIME):
            try:
                client, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                continue  # one that left before it was accepted
            if not self._connections.make_room():
                client.close()
                continue
            self._begin(client)

    def _begin(self, client: socket.socket, *, is_adopted: bool = False) -> None:
        client.setblocking(False)
        connection = self._make(is_adopted)
        self._connections.opening(connection)
        task = self._loop.create_task(self._open(client, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pause(self, error: OSError) -> None:
        """Leave those who come now in the kernel's queue for a while."""
        log.error("webhook.accept_paused", error=error.strerror)
        self._loop.remove_reader(self._listener)
        self._resumption = self._loop.call_later(_PAUSE_S, self.start)

    async def _open(self, client: socket.socket, connection: Connection) -> None:
        try:
            await self._connect(client, connection)
            return
        except (OSError, TimeoutError):  # a failed handshake is a stranger's own business
            pass
        except Exception as error:  # ends this client alone
            self._connections.failed(error)
        except asyncio.CancelledError:
            client.close()
            raise
        client.close()
        self._connections.closed(connection)

    async def _connect(self, client: socket.socket, connection: Connection) -> None:
        context = self._tls()
        if context is None:
            await self._loop.connect_accepted_socket(lambda: connection, client)
            return
        await self._loop.connect_accepted_socket(
            lambda: connection,
            client,
            ssl=context,
            ssl_handshake_timeout=self._handshake_s,
            ssl_shutdown_timeout=_TLS_END_S,
        )
