"""The control API is left to the next server: its socket file stays, and who connects meanwhile waits."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from supervisor.control import unix_endpoint
from supervisor.control.server import ControlServer
from tests.fakes_control import FakeMaster, serve, worker
from tests.waiting import await_until

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


@pytest.mark.parametrize("in_its_place", ["nothing", "a dead one's"])
async def test_a_socket_file_that_is_gone_is_made_anew(tmp_path: Path, in_its_place: str):
    """Somebody tidied up: no reason for the next master to end with all bots."""
    first = serve(FakeMaster(), tmp_path)
    await first.start()
    path = tmp_path / "brama.sock"
    path.unlink()
    if in_its_place != "nothing":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    unix, tcp = first.hand_over()
    await first.aclose()
    second = succeed(tmp_path, unix, tcp)
    await second.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(HEALTH)
    assert (await answer(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
    await second.aclose()


@pytest.mark.parametrize("in_its_place", ["nothing", "a dead one's"])
async def test_a_socket_file_that_goes_while_the_server_runs_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_its_place: str
):
    monkeypatch.setattr(unix_endpoint, "LOOK_S", 0.05)
    server = serve(FakeMaster(), tmp_path)
    await server.start()
    path = tmp_path / "brama.sock"
    path.rename(tmp_path / "kept")  # its inode stays taken
    if in_its_place != "nothing":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))

    async def is_served() -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            return False
        writer.write(HEALTH)
        said = await answer(reader)
        writer.close()
        return said.startswith(b"HTTP/1.1 200")

    await await_until(is_served, what="the socket")
    assert path.stat().st_mode & 0o777 == 0o600
    unix, tcp = server.hand_over()
    await server.aclose()
    second = succeed(tmp_path, unix, tcp)
    await second.start()
    assert await is_served()
    await second.aclose()
    assert not path.exists()


async def test_a_socket_at_which_another_answers_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is that of a master whose lock is another: the folder was removed and made anew."""
    monkeypatch.setattr(unix_endpoint, "LOOK_S", 0.01)
    first = serve(FakeMaster(), tmp_path)
    await first.start()
    path = tmp_path / "brama.sock"
    path.rename(tmp_path / "kept")
    second = serve(FakeMaster(), tmp_path)
    await second.start()
    inode = path.stat().st_ino
    looks: list[None] = []
    is_there = unix_endpoint.UnixEndpoint._is_there

    def counted(endpoint: unix_endpoint.UnixEndpoint) -> bool:
        looks.append(None)
        return is_there(endpoint)

    monkeypatch.setattr(unix_endpoint.UnixEndpoint, "_is_there", counted)
    await await_until(lambda: len(looks) > 10, what="looks")
    assert path.stat().st_ino == inode
    await first.aclose()
    assert path.exists()
    await second.aclose()
