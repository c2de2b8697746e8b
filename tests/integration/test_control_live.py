"""What a master shows of itself in its own terminal."""

import asyncio
import threading
from io import StringIO

import pytest
from rich.console import Console

from brama.clock import monotonic_s
from supervisor.control import live
from supervisor.control.live import LiveTable, report_progress
from supervisor.control.status import MasterState
from tests.fakes_control import FakeMaster, worker
from tests.waiting import await_until


class BlockedTerminal(StringIO):
    """A terminal whose person pressed Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = threading.Event()
        self.may_go_on = threading.Event()

    def write(self, text: str) -> int:
        self.is_asked.set()
        self.may_go_on.wait(30)
        return super().write(text)


def console_on(file: StringIO) -> Console:
    return Console(file=file, width=160, height=20, force_terminal=True, color_system=None, _environ={})


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    monkeypatch.setattr(live, "PROGRESS_S", 0.01)
    monkeypatch.setattr(live, "_JOIN_S", 0.05)


async def test_the_table_follows_the_fleet(fast):
    out = StringIO()
    master = FakeMaster(worker("shop"), worker("support", state="STARTING", pid=None))
    master.state = MasterState.STARTING
    showing = asyncio.create_task(LiveTable(console_on(out)).show(master))
    await await_until(lambda: "starting 1/2" in out.getvalue())
    master.workers["support"] = worker("support", state="FATAL", reason="the token was rejected", pid=None)
    master.state = MasterState.RUNNING
    await await_until(lambda: "the token was rejected" in out.getvalue())
    await await_until(lambda: "Ctrl-C stops the fleet" in out.getvalue())
    master.state = MasterState.STOPPING
    await await_until(lambda: "stopping 0/1" in out.getvalue())
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    assert "\x1b[?1049l" in out.getvalue()  # the terminal has its own screen back


async def test_a_terminal_that_takes_nothing_does_not_stop_the_master(fast):
    terminal = BlockedTerminal()
    showing = asyncio.create_task(LiveTable(console_on(terminal)).show(FakeMaster(worker("shop"))))
    try:
        await await_until(terminal.is_asked.is_set)
        before = monotonic_s()
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        assert monotonic_s() - before < 20
    finally:
        terminal.may_go_on.set()


async def test_progress_is_told_while_there_is_any(fast):
    said: list[str] = []
    master = FakeMaster(worker("shop"))
    master.workers["support"] = worker("support", state="STARTING")
    master.state = MasterState.STARTING
    reporting = asyncio.create_task(report_progress(master, said.append))
    await await_until(lambda: said == ["starting 1/2"])
    master.workers["support"] = worker("support")
    master.state = MasterState.RUNNING
    await await_until(lambda: said[1:] == ["2 of 2 bots running"])
    master.state = MasterState.STOPPING
    master.workers["shop"] = worker("shop", pid=None)
    await await_until(lambda: said[2:] == ["stopping 1/2"])
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)
