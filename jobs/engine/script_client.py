"""A Redis client that has many scripts on their way at once, all over one connection.

redis-py itself takes a connection for each command and waits there for the answer, which with short jobs is
most of what a worker does.

Runs in: master | command line | job worker.
"""

import asyncio
from collections import deque
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.engine.wire import IncompleteError, decode, encode

_CHUNK_BYTES = 262_144
_ONCE = Retry(NoBackoff(), 0)
_ENDED = "the Redis server closed the connection"


class ScriptClient(Redis):
    """A ``Redis`` whose scripts share one connection; all other commands go redis-py's way.

    Its options are those of ``Redis``, among them ``protocol=2`` and ``socket_timeout``; a script is tried
    again like any command.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._link = _Link(self.connection_pool)

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script that the server knows."""
        command = encode(("EVALSHA", sha, numkeys, *keys_and_args))
        return await (self.get_retry() or _ONCE).call_with_retry(
            lambda: self._link.ask(command), _ignore, lambda _: not self._link.is_closed
        )

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection. Scripts fail from then on."""
        await self._link.close()
        await super().aclose(close_connection_pool)


class _Link:
    """One connection, opened when it is needed. Answers come in the order of the questions."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._writer: asyncio.StreamWriter | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asked: deque[asyncio.Future[Any]] = deque()
        #: Commands of this turn of the event loop, which go out together.
        self._unsent: list[bytes] = []
        self.is_closed = False

    async def ask(self, command: bytes) -> Any:
        """Send ``command`` and return its answer.

        Raises:
            RedisConnectionError, RedisTimeoutError: the server is away; it may have carried the command out.
            ResponseError: the answer is an error.
        """
        if self._writer is None:
            await self._wait_open()
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._asked.append(answer)
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent.append(command)
        return await answer

    async def close(self) -> None:
        """Let go of the connection for good; what is unanswered fails."""
        self.is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._writer is not None and self._reading is not None:
            self._writer.transport.abort()  # ends the reading; cancelled before it began it would tell nobody
            await asyncio.wait({self._reading})

    async def _wait_open(self) -> None:
        """Return when there is a connection, which all who need one wait for together."""
        if self.is_closed:
            raise RedisConnectionError("the client is closed")
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._end_opening)
        opening = self._opening
        await asyncio.wait({opening})  # whoever is cancelled here ends it for nobody else
        if opening.cancelled():
            raise RedisConnectionError("the client is closed")
        opening.result()
        if self._writer is None:
            raise RedisConnectionError(_ENDED)

    async def _open(self) -> None:
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.retry = _ONCE  # whoever asks tries again
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if self.is_closed:  # redis-py may take being cancelled for its own time limit
                raise RedisConnectionError("the client is closed")
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._writer = connection._writer
        self._reading = asyncio.create_task(self._read(connection))

    def _end_opening(self, opening: asyncio.Task[None]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # all who wanted to know may have gone

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(b"".join(unsent))

    async def _read(self, connection: AbstractConnection) -> None:
        """Hand out answers until the connection ends."""
        error: Exception = RedisConnectionError(_ENDED)
        try:
            await self._hand_out(connection)
        except (OSError, ValueError) as cause:
            error = RedisConnectionError(str(cause))
        except RedisTimeoutError as cause:
            error = cause
        finally:
            self._writer = None
            asked, self._asked, self._unsent = self._asked, deque(), []
            for answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            await connection.disconnect(nowait=True)

    async def _hand_out(self, connection: AbstractConnection) -> None:
        received, needed = bytearray(), 1
        while chunk := await self._next_chunk(connection):
            received += chunk
            if len(received) < needed:
                continue
            at, needed = 0, 1
            try:
                while at < len(received):
                    value, at = decode(received, at)
                    self._answer(value)
            except IncompleteError as error:
                needed = error.needed - at
            del received[:at]

    async def _next_chunk(self, connection: AbstractConnection) -> bytes:
        """Return what comes next, nothing at the end.

        Raises:
            RedisTimeoutError: an answer is due for ``socket_timeout``; noticed within twice the time.
        """
        reader = connection._reader
        assert reader is not None
        due = None
        while True:
            try:
                async with asyncio.timeout(connection.socket_timeout):
                    return await reader.read(_CHUNK_BYTES)
            except TimeoutError:
                if self._asked and self._asked[0] is due:
                    raise RedisTimeoutError("the Redis server does not answer") from None
                due = self._asked[0] if self._asked else None

    def _answer(self, value: Any) -> None:
        if not self._asked:
            raise ValueError("the Redis server answers what nobody has asked")
        answer = self._asked.popleft()
        if answer.done():  # whoever asked was cancelled
            return
        if isinstance(value, Exception):
            answer.set_exception(value)
        else:
            answer.set_result(value)


async def _ignore(_: Exception) -> None: ...
