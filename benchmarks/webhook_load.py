"""Delivers updates as fast as they are answered: ``python -m benchmarks.webhook_load < order.json``.

A process of its own, so that it takes no time from whom it measures. It prints its Result as JSON.
"""

import asyncio
import ssl
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.updates import make_update
from benchmarks.webhook_order import Order, Result, Target
from brama.clock import monotonic_s


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the one before is answered."""

    def __init__(self, statuses: Counter[str], durations_s: list[float]) -> None:
        self._statuses = statuses
        self._durations_s = durations_s
        self._requests: Iterator[bytes] = iter(())
        self._answer = b""
        self._sent_at = 0.0
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    async def send(self, requests: Sequence[bytes]) -> None:
        """Send all, one after another; returns when the last is answered."""
        self._requests = iter(requests)
        self._done = asyncio.get_running_loop().create_future()
        self._send_next()
        await self._done

    def close(self) -> None:
        """End the connection."""
        assert self._transport is not None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server has ended the connection"))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator or len(body) < _body_length(head):
            return
        self._durations_s.append(monotonic_s() - self._sent_at)
        self._statuses[head[9:12].decode()] += 1
        self._answer = b""
        self._send_next()

    def _send_next(self) -> None:
        assert self._transport is not None
        assert self._done is not None
        request = next(self._requests, None)
        if request is None:
            self._done.set_result(None)
            return
        self._sent_at = monotonic_s()
        self._transport.write(request)


def _body_length(head: bytes) -> int:
    """Return what ``Content-Length`` says.

    Raises:
        ValueError: there is none.
    """
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise ValueError("an answer without Content-Length")
    return int(rest.partition(b"\r\n")[0])


def _request(target: Target, body: bytes) -> bytes:
    parts = urlsplit(target.url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Telegram-Bot-Api-Secret-Token: {target.secret}\r\n\r\n"
    )
    return head.encode() + body


def _requests(order: Order) -> list[list[bytes]]:
    """Return the requests of each connection."""
    made: list[list[bytes]] = [[] for _ in range(order.connections)]
    for number in range(order.updates):
        place = number % order.connections
        body = make_update(order.first_id + number, place + 1, str(number))
        made[place].append(_request(order.targets[number % len(order.targets)], body))
    return made


def _last_requests(order: Order) -> list[list[bytes]]:
    made: list[list[bytes]] = [[] for _ in range(order.connections)]
    for number, target in enumerate(order.targets):
        place = number % order.connections
        body = make_update(order.first_id + order.updates + number, place + 1, "the last")
        made[place].append(_request(target, body))
    return made


async def _carry_out(order: Order) -> Result:
    statuses: Counter[str] = Counter()
    durations_s: list[float] = []
    context = None if order.ca is None else ssl.create_default_context(cafile=order.ca)
    parts = urlsplit(order.targets[0].url)
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(order.connections):
        _, client = await loop.create_connection(
            lambda: _Client(statuses, durations_s), parts.hostname or "", parts.port or 0, ssl=context
        )
        clients.append(client)
    phases = [_requests(order)] + ([_last_requests(order)] if order.ends else [])
    began_at = monotonic_s()
    for phase in phases:
        await asyncio.gather(*(client.send(own) for client, own in zip(clients, phase, strict=True)))
    seconds = monotonic_s() - began_at
    for client in clients:
        client.close()
    cuts = statistics.quantiles(durations_s, n=100)
    return Result(began_at, seconds, len(durations_s), cuts[49] * 1000, cuts[98] * 1000, statuses)


def main() -> None:
    """Run as ``python -m benchmarks.webhook_load``."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_carry_out(order))
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
