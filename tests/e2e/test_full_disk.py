"""A full disk stops the intake and says so; with room again everything goes on, and nothing is lost."""

import json
import os
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest

from benchmarks.small_disk import SmallDisk
from tests.fixtures.fleet import Fleet
from tests.ports import free_port
from tests.waiting import wait_until


@pytest.fixture
def crowded(disk: SmallDisk, fleet: Fleet) -> Fleet:
    """A fleet with its state and its logs on the small disk."""
    fleet.sections |= {
        "state_dir": str(disk.folder / "state"),
        "logs_dir": str(disk.folder / "logs"),
        "api": {"port": free_port()},
    }
    return fleet


def health(fleet: Fleet) -> tuple[int, dict[str, Any]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{fleet.sections['api']['port']}/health", timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_full_disk_stops_the_intake_and_loses_nothing(crowded, disk, tmp_path):
    fleet, gate = crowded, tmp_path / "gate"
    shop, support = fleet.add("shop"), fleet.add("support")
    fleet.start_and_wait()
    texts = [f"text {number}" for number in range(10)]
    shop.send(f"hold {gate}", *texts)
    support.send("hello")
    support.wait_answers(1)
    wait_until(lambda: fleet.worker("shop").in_flight == 11, what="a backlog in flight")
    disk.fill()

    # Intake ends with the first batch that does not fit; it stays at Telegram.
    late: list[str] = []

    def stalled() -> bool:
        late.append(f"late {len(late)} " + "x" * 3000)
        support.send(late[-1])
        return health(fleet)[0] == 503

    wait_until(stalled, 60, what="a full disk")
    code, said = health(fleet)
    assert (code, said["ok"], said["state"]) == (503, False, "stalled")
    assert "full" in said["reason"]
    assert str(disk.folder) in said["reason"]
    wait_until(lambda: fleet.worker("support").ingress == "outage", what="the intake to say so")
    assert "full" in (fleet.worker("support").reason or ""), "status says why, too"
    assert not support.is_confirmed()

    # What was in flight is finished, though no acknowledgement can be written down.
    gate.touch()
    assert shop.wait_answers(11) == ["held until gate", *texts]
    pid = fleet.pid("shop")
    os.kill(pid, signal.SIGKILL)
    fleet.wait_replaced("shop", pid)

    disk.free()
    wait_until(lambda: health(fleet)[0] == 200, what="room to be noticed")
    shop.send("afterwards")
    fleet.wait_handled("support")
    fleet.wait_handled("shop")
    assert support.answers() == ["hello", *(text[:100] for text in late)]
    assert shop.answers() == ["held until gate", *texts, "afterwards"]
    assert fleet.stop() == 0
    for bot, count in ((shop, 12), (support, 1 + len(late))):
        tally = fleet.tally(bot.id)
        assert (tally.committed, tally.processed, tally.dead_letters) == (count, count, 0)


def test_a_full_disk_at_the_start_is_one_line(crowded, disk):
    fleet = crowded
    fleet.add("shop")
    fleet.configure()
    disk.fill()
    done = fleet.run("start")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"brama-supervisor: state_dir: {disk.folder / 'state'}")
    assert "No space left on device; make room" in line


def test_bots_go_on_while_nobody_can_write_their_logs(crowded, disk):
    fleet = crowded
    fleet.sections["state_dir"] = str(fleet.folder / "state")
    bot = fleet.add("shop")
    fleet.start_and_wait()
    assert bot.ask("log before") == "written"
    disk.fill()
    for number in range(20):
        assert bot.ask(f"log {number} " + "x" * 4000) == "written"
    disk.free()
    assert bot.ask("log afterwards") == "written"
    lines = (disk.folder / "logs" / "worker_shop.log").read_text().splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "afterwards"
    assert fleet.stop() == 0
