"""What the master says on a real datagram socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import pytest
import structlog

from supervisor.control.status import MasterState, Status
from supervisor.service_manager import ServiceManager
from tests.fakes_control import status, worker
from tests.fixtures.service_manager import Listener
from tests.waiting import await_until, loop_turn


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as made:
        yield made


@dataclass
class Master:
    """Whom the service manager is told about."""

    state: Status = field(default_factory=lambda: status(worker("shop"), worker("support", state="FATAL")))
    works: bool = True
    broken: bool = False

    def status(self) -> Status:
        if self.broken:
            raise RuntimeError("cannot count")
        return self.state

    def speaker(self, **environ: str) -> ServiceManager:
        return ServiceManager(environ, self.status, lambda: self.works)


def test_ready_and_reload_and_stop(listener):
    master = Master()
    speaker = master.speaker(NOTIFY_SOCKET=listener.address)
    speaker.ready()
    with speaker.reload():
        problems = ("brama.yaml: bots[0].id: is missing",)
        told = msgspec.structs.replace(master.state.master, reload_problems=problems)
        master.state = msgspec.structs.replace(master.state, master=told)
    master.state = status(worker("shop"), worker("support", pid=None), state=MasterState.STOPPING)
    speaker.stopping(90.0)
    ready, reloading, again, stopping = listener.listen()
    assert ready == {"READY": "1", "STATUS": "1 of 2 bots running"}
    assert int(reloading.pop("MONOTONIC_USEC")) > 0
    assert reloading == {"RELOADING": "1", "STATUS": "reloading the configuration", "WATCHDOG": "1"}
    assert again == {"READY": "1", "STATUS": "1 of 2 bots running; the last reload changed nothing"}
    assert stopping == {"STOPPING": "1", "STATUS": "stopping 1/2", "EXTEND_TIMEOUT_USEC": "110000000"}
    assert listener.speakers == {os.getpid()}


def test_a_restart_in_place_is_a_reload_whose_ready_comes_from_the_new_code(listener):
    environ = {"NOTIFY_SOCKET": listener.address}
    Master().speaker(**environ).restarting()
    Master().speaker(**environ).ready()
    reloading, ready = listener.listen()
    assert (reloading["RELOADING"], reloading["STATUS"]) == ("1", "restarting in place")
    assert ready["READY"] == "1"


def test_a_reload_that_the_stop_meets_does_not_say_ready(listener):
    speaker = Master().speaker(NOTIFY_SOCKET=listener.address)
    with speaker.reload():
        speaker.stopping(1.0)
    assert [word for words in listener.listen() for word in words if word in {"READY", "STOPPING"}] == [
        "STOPPING"
    ]


async def test_the_watchdog_is_kept_at_bay_only_while_a_new_process_would_not_help(listener):
    master = Master(works=False)
    environ = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    async with asyncio.TaskGroup() as group:
        attending = group.create_task(master.speaker(**environ).attend())
        await await_until(lambda: len(listener.listen()) >= 3)
        assert not any("WATCHDOG" in words for words in listener.heard)
        master.works = True
        master.broken = True  # whoever cannot count bots is no worse off after a restart
        await await_until(lambda: "WATCHDOG" in listener.listen()[-1])
        attending.cancel()


async def test_another_processs_watchdog_is_left_to_it(listener):
    environ = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    async with asyncio.TaskGroup() as group:
        attending = group.create_task(Master().speaker(**environ).attend())
        await await_until(listener.listen)
        attending.cancel()
    assert listener.heard == [{"STATUS": "1 of 2 bots running"}]


def test_what_a_full_queue_does_not_take_is_said_with_the_next_words(listener):
    speaker = Master().speaker(NOTIFY_SOCKET=listener.address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as crowd, suppress(BlockingIOError):
        crowd.setblocking(False)
        crowd.connect(b"\0" + listener.address[1:].encode())
        while True:
            crowd.send(b"CROWD=1")
    speaker.ready()
    speaker.stopping(1.0)
    assert not any("READY" in words for words in listener.listen())
    before = len(listener.heard)
    speaker.ready()
    [said] = listener.listen()[before:]
    assert {"READY", "STOPPING", "EXTEND_TIMEOUT_USEC"} <= said.keys()


async def test_one_that_cannot_be_reached_is_reported_once_and_disturbs_nothing(tmp_path):
    speaker = Master().speaker(NOTIFY_SOCKET=str(tmp_path / "gone"))
    with structlog.testing.capture_logs() as logs:
        speaker.ready()
        with speaker.reload():
            await loop_turn()
        speaker.stopping(1.0)
    assert [entry["event"] for entry in logs] == ["service_manager.unreachable"]
    with Listener(tmp_path / "gone") as listener:
        speaker.ready()
        assert [words["READY"] for words in listener.listen()] == ["1"]


async def test_without_one_nothing_is_counted_and_attending_ends():
    speaker = Master(broken=True).speaker(WATCHDOG_USEC="20000")
    with structlog.testing.capture_logs() as logs:
        speaker.ready()
        with speaker.reload():
            speaker.restarting()
        await speaker.attend()
        speaker.stopping(1.0)
    assert logs == []
