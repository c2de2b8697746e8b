"""Delivers updates at a steady pace until told to end: ``python -m benchmarks.paced_load``.

Orders come on standard input as one line of JSON; the end of standard input ends it. Half of the requests go
over connections that stay open, as a proxy's, half over one of their own. It prints its Result as JSON.
"""

import asyncio
import sys
from typing import Self
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.updates import make_update
from benchmarks.webhook_order import Target
from brama.clock import monotonic_s

#: Telegram gives up a request after 60 s.
_ANSWER_TIMEOUT_S = 60.0


class PacedOrder(msgspec.Struct, frozen=True):
    """What to deliver: one update to each of ``targets`` in turn, ``rate`` a second in all."""

    targets: list[Target]
    rate: float
    first_id: int


class Delivery(msgspec.Struct, frozen=True):
    """One request: the text is its number. ``status`` is "200", or what went wrong."""

    target: int
    number: int
    sent_at: float
    took_s: float
    status: str


class _Connection:
    """One connection to the server, opened when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> str:
        """Return the status of the answer, or what went wrong."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                self._streams = self._streams or await asyncio.open_connection(self._host, self._port)
                reader, writer = self._streams
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, length = head.lower().partition(b"content-length: ")
                await reader.readexactly(int(length.split()[0]))
                return head[9:12].decode()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            return type(error).__name__

    def close(self) -> None:
        """End it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class _Load:
    """Requests on their way."""

    def __init__(self, order: PacedOrder) -> None:
        self._order = order
        parts = urlsplit(order.targets[0].url)
        self._place = parts.hostname or "", parts.port or 0
        self._idle: list[_Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.deliveries: list[Delivery] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tasks)
        for connection in self._idle:
            connection.close()

    async def run(self, ended: asyncio.Event) -> None:
        """Send until ``ended``, whatever is unanswered."""
        number, began_at = 0, monotonic_s()
        while not ended.is_set():
            task = asyncio.get_running_loop().create_task(self._deliver(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
            await asyncio.sleep(began_at + number / self._order.rate - monotonic_s())

    async def _deliver(self, number: int) -> None:
        target = number % len(self._order.targets)
        request = _request(self._order.targets[target], self._order.first_id + number, number)
        keeps = number // len(self._order.targets) % 2 == 0
        connection = self._idle.pop() if keeps and self._idle else _Connection(*self._place)
        sent_at = monotonic_s()
        status = await connection.ask(request)
        self.deliveries.append(Delivery(target, number, sent_at, monotonic_s() - sent_at, status))
        if keeps:
            self._idle.append(connection)
        else:
            connection.close()


def _request(target: Target, update_id: int, number: int) -> bytes:
    body = make_update(update_id, 1, str(number))
    parts = urlsplit(target.url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Telegram-Bot-Api-Secret-Token: {target.secret}\r\n\r\n"
    )
    return head.encode() + body


async def _carry_out(order: PacedOrder) -> list[Delivery]:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    async with _Load(order) as load:
        await load.run(ended)
    return load.deliveries


def main() -> None:
    """Run as ``python -m benchmarks.paced_load``."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stream:
        order = msgspec.json.decode(stream.readline(), type=PacedOrder)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        deliveries = runner.run(_carry_out(order))
    sys.stdout.buffer.write(msgspec.json.encode(deliveries))


if __name__ == "__main__":
    main()
