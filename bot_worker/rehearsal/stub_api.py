"""A Bot API for the warm-up: answers each method with a plausible object over real HTTP on 127.0.0.1.

Runs in: a child of the zygote, while that warms up.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

#: What a bot of the warm-up says to get an error back, as a handler meets it in real life.
REFUSED_TEXT = "refuse this"

BOT = {"id": 1, "is_bot": True, "first_name": "Warm", "username": "warm_up_bot"}
IDENTITY = json.dumps(BOT).encode()
CHAT = {"id": 10, "type": "private", "first_name": "Warm"}
SENT = {"message_id": 1, "date": 1700000000, "chat": CHAT, "from": BOT, "text": "sent"}


@asynccontextmanager
async def stub_api() -> AsyncIterator[str]:
    """Serve until the block ends; yield the base URL.

    Raises:
        OSError: no port of 127.0.0.1 can be had.
    """
    talks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_talk(reader, writer))
        talks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bot"
    finally:
        server.close()
        await server.wait_closed()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until its end."""
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            length = next(
                (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")),
                0,
            )
            body = await reader.readexactly(length)
            method = head.split(" ", 2)[1].rpartition("/")[2]
            status, answer = _answer(method, body)
            payload = json.dumps(answer).encode()
            writer.write(
                f"HTTP/1.1 {status}\r\nServer: nginx\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(payload)}\r\nConnection: keep-alive\r\n\r\n".encode()
                + payload
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _answer(method: str, body: bytes) -> tuple[str, dict[str, Any]]:
    if REFUSED_TEXT.replace(" ", "+").encode() in body:
        return "400 Bad Request", {
            "ok": False,
            "error_code": 400,
            "description": "Bad Request: chat not found",
        }
    if method == "getMe":
        return "200 OK", {"ok": True, "result": BOT}
    if method.startswith(("send", "edit", "copy", "forward")):
        return "200 OK", {"ok": True, "result": SENT}
    return "200 OK", {"ok": True, "result": True}
