"""A master is killed, a second one comes too early, the next one cleans up."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from brama.errors import StateError
from brama.marks import MARKER_VARIABLE, instance_of
from supervisor.fleet.leftovers import decode_records, encode_records, end_leftovers
from supervisor.fleet.linux import read_stat
from supervisor.fleet.lock import InstanceLock
from supervisor.fleet.policy.model import State
from tests.integration.fleet.master_process import configuration, store_of
from tests.integration.fleet.stage import lives, staged
from tests.waiting import wait_until


@contextmanager
def master(folder: Path, behaviour: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run a master whose bots are ready; yields it with the pids of zygote and workers."""
    command = [sys.executable, "-m", "tests.integration.fleet.master_process", str(folder), behaviour]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                yield process, [int(pid) for pid in line.split()]
                break
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_no_worker_outlives_a_killed_master_and_the_next_one_ends_their_children(tmp_path):
    with master(tmp_path, "parental") as (process, pids):
        children = [int(pid) for pid in (tmp_path / "shop" / "pids.1").read_text().split()]
        assert len(pids) == 3
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(lives, pids)), timeout_s=5.0, what="workers to die with their master")
    marked, unmarked = children[:-1], children[-1]
    assert all(map(lives, marked)), "children of workers are not told of the master's death"
    try:
        with master(tmp_path, "serve"):
            assert [pid for pid in marked if lives(pid)] == []
    finally:
        os.kill(unmarked, 9)


def test_a_second_instance_is_refused_in_one_line(tmp_path):
    with master(tmp_path, "serve") as (process, _):
        command = [sys.executable, "-m", "tests.integration.fleet.master_process", str(tmp_path), "serve"]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        lock = tmp_path / "state" / "brama.lock"
        assert second.stderr == (
            f"already running as pid {process.pid} (it holds {lock}); stop it, or set another state_dir\n"
        )
        process.kill()
        process.wait()
        InstanceLock(tmp_path / "state").acquire()


def test_an_unwritable_state_folder_is_said(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateError, match=r"state_dir: .*brama\.lock cannot be written"):
        InstanceLock(tmp_path / "state").acquire()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_recorded_process_is_ended_and_one_that_got_its_pid_is_not(tmp_path, bystander):
    stat = read_stat(bystander.pid)
    assert stat is not None
    instance = instance_of(tmp_path)
    reused = decode_records(encode_records([(bystander.pid, stat.started_ticks - 1)]))
    assert end_leftovers(instance, reused).ended == 0
    assert bystander.poll() is None
    recorded = decode_records(encode_records([(bystander.pid, stat.started_ticks)]))
    assert end_leftovers(instance, recorded).ended == 1
    assert bystander.wait() == -9


def test_records_of_an_earlier_boot_or_no_records_name_nobody():
    assert decode_records(b'{"boot_id": "another", "processes": [[1, 1]]}') == frozenset()
    assert decode_records(b"nonsense") == frozenset()
    assert decode_records(None) == frozenset()


def test_marked_processes_of_another_instance_are_left_alone(tmp_path):
    ours, other = instance_of(tmp_path / "ours"), instance_of(tmp_path / "other")
    marked = [
        subprocess.Popen(["sleep", "600"], env={**os.environ, MARKER_VARIABLE: f"{instance}/shop/1"})
        for instance in (ours, other)
    ]
    try:
        wait_until(lambda: all(psutil.Process(each.pid).name() == "sleep" for each in marked))
        assert end_leftovers(ours, frozenset()).ended == 1
        assert marked[0].wait() == -9
        assert marked[1].poll() is None
    finally:
        for each in marked:
            each.kill()
            each.wait()


async def test_the_zygote_of_a_killed_master_is_no_trouble(tmp_path):
    with master(tmp_path, "serve") as (process, pids):
        process.kill()
        process.wait()
    async with staged(configuration(tmp_path, "serve"), store_of(tmp_path)) as stage:
        await stage.all_reach(State.RUNNING)
        assert not any(map(lives, pids))
