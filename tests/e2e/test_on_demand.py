"""Bots that sleep while nobody writes to them: the installed command, real bots, the sandbox."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brama.exit_codes import ExitCode
from tests.fixtures.fleet import SCRIPTS, Bot, Fleet, lives, new_fleet
from tests.fixtures.sandbox import running_sandbox
from tests.ports import free_port
from tests.waiting import wait_until

NAPPING = SCRIPTS / "napping.py"
SECRET = "a-secret-of-the-operator-0123456789"


def add(fleet: Fleet, bot_id: str, **keys: object) -> Bot:
    """Configure a bot that sleeps after a second."""
    return fleet.add(bot_id, NAPPING, **{"idle_timeout": "1s", **keys})


@pytest.fixture
def delivered(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose bots are delivered to."""
    port = free_port()
    webhook = {"host": f"http://127.0.0.1:{port}", "port": port, "secret": SECRET}
    with (
        running_sandbox() as sandbox,
        new_fleet(tmp_path / "project", sandbox, mode="webhook", webhook=webhook) as fleet,
    ):
        sandbox.control.set_limits(webhook_pause_scale=0.02)
        yield fleet


def wait_asleep(fleet: Fleet, *bot_ids: str) -> None:
    """Wait until these bots, or all, sleep, and hold no process."""
    fleet.wait_state("SLEEPING", *bot_ids)
    for bot_id in bot_ids or fleet.bots:
        assert fleet.worker(bot_id).pid is None


def test_an_idle_bot_sleeps_and_its_next_update_wakes_it(fleet: Fleet):
    shop = add(fleet, "shop")
    fleet.start_and_wait()
    first = int(shop.ask("pid"))
    wait_asleep(fleet)
    assert not lives(first)
    assert fleet.run("status").returncode == ExitCode.OK
    second = int(shop.ask("pid"))
    assert second != first
    wait_asleep(fleet)
    worker = fleet.worker("shop")
    assert (worker.reason, worker.wakes, worker.restarts) == ("its next update wakes it", 1, 0)
    assert (worker.idle_timeout_ms, worker.ingress, worker.messages) == (1000, "ok", 2)
    assert fleet.stop() == 0
    assert fleet.tally("shop").processed == 2
