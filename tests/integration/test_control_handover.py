"""The control API is left to the next server: its socket file stays, and who connects meanwhile waits."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from supervisor.control.server import ControlServer
from tests.fakes_control import FakeMaster, serve, worker

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def succeed(tmp_path: Path, unix: int, tcp: int) -> ControlServer:
    return ControlServer(
        FakeMaster(worker("shop")),
        state_dir=tmp_path,
        host="127.0.0.1",
        port=0,
        token=None,
        stop_timeout_s=10.0,
        unix=socket.socket(fileno=unix),
        tcp=socket.socket(fileno=tcp),
    )


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.read()


async def test_the_next_server_answers_where_the_first_did(tmp_path: Path):
    first = serve(FakeMaster(), tmp_path)
    await first.start()
    path, address = tmp_path / "brama.sock", first.tcp_address
    inode = path.stat().st_ino
    unix, tcp = first.hand_over()
    assert not any(map(os.get_inheritable, (unix, tcp)))
    await first.aclose()
    assert path.stat().st_ino == inode
    waiting = [await asyncio.open_unix_connection(path), await asyncio.open_connection(*address)]
    for _, writer in waiting:
        writer.write(HEALTH)
    second = succeed(tmp_path, unix, tcp)
    await second.start()
    for reader, writer in waiting:
        assert (await answer(reader)).startswith(b"HTTP/1.1 200")
        writer.close()
    assert second.tcp_address == address
    await second.aclose()
    assert not path.exists(), "it is the last one's to remove"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_a_socket_file_that_is_gone_is_made_anew(tmp_path: Path):
    """Somebody tidied up: no reason for the next master to end with all bots."""
    first = serve(FakeMaster(), tmp_path)
    await first.start()
    path = tmp_path / "brama.sock"
    path.unlink()
    unix, tcp = first.hand_over()
    await first.aclose()
    second = succeed(tmp_path, unix, tcp)
    await second.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(HEALTH)
    assert (await answer(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
    await second.aclose()
