"""What systemd is told, in its own words."""

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from supervisor.service_manager import STATUS_EVERY_S, ServiceManager, _interval_s


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path):
    name = str(tmp_path / "notify") if request.param == "path" else f"\0brama-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.settimeout(20)
        made.bind(name)
        yield made


def environment(listener: socket.socket, **more: str) -> dict[str, str]:
    name = listener.getsockname()
    return {"NOTIFY_SOCKET": name if isinstance(name, str) else "@" + name[1:].decode(), **more}


def heard(listener: socket.socket) -> list[str]:
    return listener.recv(4096).decode().split("\n")


async def test_ready_then_signs_of_life_with_a_status(listener: socket.socket):
    service = ServiceManager(environment(listener, WATCHDOG_USEC="20000"), lambda: "2 of 2 bots running")
    service.ready()
    assert heard(listener) == ["READY=1"]
    for _ in range(3):
        assert await asyncio.to_thread(heard, listener) == ["WATCHDOG=1", "STATUS=2 of 2 bots running"]
    service.close()


async def test_changes_and_the_end(listener: socket.socket):
    service = ServiceManager(environment(listener), str)
    with suppress(ValueError), service.changing():
        raise ValueError("refused")
    first, second = heard(listener)
    assert first == "RELOADING=1"
    assert second.partition("=")[0] == "MONOTONIC_USEC"
    assert heard(listener) == ["READY=1"]
    service.stopping(90.5)
    assert heard(listener) == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=90500000"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, STATUS_EVERY_S),
        ({"WATCHDOG_USEC": "nonsense"}, STATUS_EVERY_S),
        ({"WATCHDOG_USEC": "4000000"}, 2.0),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}, STATUS_EVERY_S),
        ({"WATCHDOG_USEC": "600000000"}, STATUS_EVERY_S),
    ],
)
def test_half_of_what_the_watchdog_allows(environ: dict[str, str], expected: float):
    assert _interval_s(environ) == expected


async def test_nobody_listening_is_no_trouble(tmp_path: Path):
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        service = ServiceManager(environ, str)
        service.ready()
        service.reloading()
        service.stopping(1)
        service.close()
