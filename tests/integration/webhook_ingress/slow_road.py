"""A road to a Bot API server on which some requests take long, and arrive though their sender has left."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.integration.poller.stage import pause

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class SlowRoad:
    """Carries requests to ``base_url``; those of methods in ``slow`` so many seconds later."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._upstream = (parts.hostname or "", parts.port or 0)
        self.slow: dict[str, float] = {}
        #: How many slow requests were sent, and were answered, by method.
        self.sent: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.address = ""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the requests of one connection, one after the other."""
        far_reader, far_writer = await asyncio.open_connection(*self._upstream)
        arrived = asyncio.Event()
        back = asyncio.get_running_loop().create_task(_carry_back(far_reader, writer, arrived))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length.group(1)) if length else 0)
                method = head.split(b" ")[1].rpartition(b"/")[2].decode()
                arrived.clear()
                if delay_s := self.slow.get(method):
                    self.sent[method] += 1
                    await pause(delay_s)
                far_writer.write(head + body)
                if delay_s:
                    await arrived.wait()
                    self.answered[method] += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            back.cancel()
            far_writer.close()
            writer.close()


async def _carry_back(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: asyncio.Event
) -> None:
    while chunk := await reader.read(65536):
        arrived.set()
        writer.write(chunk)
    writer.close()


@asynccontextmanager
async def slow_road(base_url: str) -> AsyncIterator[SlowRoad]:
    """Open a road until the block ends."""
    road = SlowRoad(base_url)
    server = await asyncio.start_server(road.carry, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    road.address = f"http://{host}:{port}"
    try:
        yield road
    finally:
        server.close()
