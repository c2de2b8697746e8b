"""TLS in front of a queue server's socket: what rediss:// talks to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.certificates import Certificate


@asynccontextmanager
async def tls_front(certificate: Certificate, socket: str) -> AsyncIterator[int]:
    """Forward a TLS port of 127.0.0.1, which is yielded, to the unix socket ``socket``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(socket)
        await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context) as front:
        yield front.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
