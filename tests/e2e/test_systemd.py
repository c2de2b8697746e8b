"""The shipped unit, and a master that a service manager runs: all of systemd but pid 1 is the real one."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brama.clock import monotonic_s
from tests.fixtures import confined
from tests.fixtures.fleet import COMMAND, Fleet, lives, new_fleet, require_root
from tests.fixtures.sandbox import RunningSandbox
from tests.fixtures.service_manager import Listener
from tests.programs import find_program
from tests.waiting import wait_until

DEPLOYED = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICE = DEPLOYED / "brama-supervisor.service"
ISOLATION = DEPLOYED / "isolation.conf"
NOBODY = 65534
FIRST_UID = 64300
WATCHDOG_S = 2.0
#: The shell's pid stays when it executes the master, so that WATCHDOG_PID is right, as systemd sets it.
WATCHED = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]
#: Whatever a bot gets of the variables with which systemd speaks to its services.
SECRETIVE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


# --- a master that is listened to ---------------------------------------------------------------


@pytest.fixture
def listener(open_folder: Path) -> Iterator[Listener]:
    with Listener(open_folder / "notify") as made:
        yield made


@pytest.fixture
def watched(fleet: Fleet, listener: Listener) -> Fleet:
    """A fleet with a bot and a watchdog, not started."""
    fleet.add("shop")
    fleet.prefix = WATCHED
    fleet.environ |= {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    return fleet


def test_the_service_manager_is_told_of_start_reload_and_stop(watched, listener):
    watched.start_and_wait()
    ready = listener.wait("READY", "1")
    listener.wait("STATUS", "1 of 1 bot running", since=ready)
    assert not any("RELOADING" in words for words in listener.heard)

    before_us = int(monotonic_s() * 1e6)
    watched.process.send_signal(signal.SIGHUP)
    reloading = listener.wait("RELOADING", "1")
    assert before_us <= int(listener.heard[reloading]["MONOTONIC_USEC"]) <= monotonic_s() * 1e6
    again = listener.wait("READY", "1", since=reloading)

    watched.config.write_text("bots: nobody\n")
    watched.process.send_signal(signal.SIGHUP)
    reloading = listener.wait("RELOADING", "1", since=again)
    again = listener.wait("READY", "1", since=reloading)
    assert listener.heard[again]["STATUS"] == "1 of 1 bot running; the last reload changed nothing"

    watched.process.terminate()
    stopping = listener.wait("STOPPING", "1", since=again)
    assert int(listener.heard[stopping]["EXTEND_TIMEOUT_USEC"]) > 20e6, "stop.timeout is 20 s"
    assert watched.wait_ended() == 0
    assert not any("READY" in words for words in listener.listen()[stopping:])
    assert listener.speakers == {watched.process.pid}, "NotifyAccess=main hears nobody else"


def test_a_hot_restart_is_told_as_a_reload_by_one_and_the_same_process(watched, listener):
    watched.start_and_wait()
    ready = listener.wait("READY", "1")
    watched.process.send_signal(signal.SIGUSR2)
    reloading = listener.wait("RELOADING", "1", since=ready)
    again = listener.wait("READY", "1", since=reloading)
    listener.wait("WATCHDOG", "1", since=again)
    assert watched.status().master.hot_restarts == 1
    assert not any("STOPPING" in words for words in listener.heard)
    assert listener.speakers == {watched.process.pid}


def test_the_watchdog_hears_a_master_whose_loop_turns_and_no_other(watched, listener):
    watched.start_and_wait()
    process = watched.process
    first = listener.wait("WATCHDOG", "1")
    listener.wait("WATCHDOG", "1", since=first + 1)
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: "\nState:\tT" in Path(f"/proc/{process.pid}/status").read_text())
    silent = len(listener.listen())
    assert listener.hears_nothing(WATCHDOG_S)
    process.send_signal(signal.SIGCONT)
    listener.wait("WATCHDOG", "1", since=silent)


def test_a_bot_cannot_speak_for_the_master(watched, listener):
    watched.start_and_wait()
    shop = watched.bots["shop"]
    assert [shop.ask(f"environment {name}") for name in SECRETIVE] == ["not set"] * len(SECRETIVE)
    masters = Path(f"/proc/{watched.process.pid}/environ").read_text()
    assert all(f"{name}=" in masters for name in SECRETIVE), "it needs them after a restart in place"


# --- the unit -----------------------------------------------------------------------------------


def installed(folder: Path, *dropins: Path) -> Path:
    """Return the unit as it is after its installation: with a program that exists, and drop-ins beside it."""
    unit = folder / SERVICE.name
    unit.write_text(
        re.sub(r"^ExecStart=\S+", f"ExecStart={COMMAND}", SERVICE.read_text(), flags=re.MULTILINE)
    )
    for dropin in dropins:
        beside = folder / f"{SERVICE.name}.d"
        beside.mkdir()
        shutil.copy(dropin, beside)
    return unit


@pytest.mark.parametrize(
    ("dropins", "exposure"), [((), 1.5), ((ISOLATION,), 2.9)], ids=["one user", "isolation.uids"]
)
def test_systemd_finds_no_fault_with_the_unit(dropins, exposure, tmp_path):
    analyze = find_program("systemd-analyze", package="systemd")
    unit = str(installed(tmp_path, *dropins))
    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    threshold = f"--threshold={exposure * 10:.0f}"
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", threshold, unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout


def test_the_unit_waits_longer_for_the_stop_than_the_master_does():
    text = SERVICE.read_text()
    [stop_s] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(stop_s) == 90 + 20


# --- a master under what the unit forbids -------------------------------------------------------


@pytest.fixture
def confined_fleet(sandbox: RunningSandbox, open_folder: Path) -> Iterator[Fleet]:
    """A fleet, not started, of a user without rights under the unit's filters."""
    require_root("to become somebody else")
    find_program("systemd-analyze", package="systemd")
    with new_fleet(open_folder / "project", sandbox) as fleet:
        # Python itself may lie in root's home; the right to read there is none to write anywhere.
        reading = ["--bounding-set=-all,+dac_read_search", "--inh-caps=+dac_read_search"]
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reading]
        fleet.prefix = [*become, "--ambient-caps=+dac_read_search", *under(SERVICE)]
        fleet.environ |= {"HOME": str(fleet.folder), "COVERAGE_PROCESS_CONFIG": ""}
        shutil.chown(fleet.folder, NOBODY, NOBODY)
        yield fleet


def under(*units: Path) -> list[str]:
    return [sys.executable, confined.__file__, *map(str, units), "--"]


def work_a_day(fleet: Fleet) -> None:
    """Start, answer, lose a process, reload and stop; nothing of it may meet a refusal."""
    fleet.start_and_wait()
    names = list(fleet.bots)
    pid = fleet.pid("shop")
    assert "\nSeccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
    assert fleet.bots["shop"].ask("hello") == "hello"
    os.kill(pid, signal.SIGKILL)
    fleet.wait_replaced("shop", pid)
    assert fleet.bots["shop"].ask("again") == "again"
    fleet.command("restart", *names)
    fleet.wait_replaced("shop", fleet.pid("shop"))
    fleet.entries["shop"]["limits"] = {"worker_timeout": "5m"}
    fleet.configure()
    assert fleet.run("reload").returncode == 0
    wait_until(lambda: fleet.events("configuration.applied"))
    processes = fleet.children()
    assert fleet.process is not None
    fleet.process.terminate()
    assert fleet.wait_ended() == 0
    assert not any(map(lives, processes))
    said = [fleet.output(), (fleet.folder / "logs" / "master.log").read_text(), *map(fleet.log, names)]
    refusals = re.compile("not permitted|not supported|Permission denied|Traceback", re.IGNORECASE)
    assert [line for text in said for line in text.splitlines() if refusals.search(line)] == []


def test_the_unit_forbids_nothing_that_the_fleet_does(confined_fleet):
    for name in ("shop", "support"):
        confined_fleet.add(name)
    work_a_day(confined_fleet)


def test_the_unit_forbids_nothing_that_a_fleet_with_uids_does(sandbox, open_folder):
    require_root("to give bots uids of their own")
    find_program("systemd-analyze", package="systemd")
    uids = f"{FIRST_UID}-{FIRST_UID + 9}"
    granted = " ".join(confined.values_of([SERVICE, ISOLATION], "CapabilityBoundingSet")).lower().split()
    bounding = ",".join(["-all", *(f"+{name.removeprefix('cap_')}" for name in granted)])
    with new_fleet(open_folder / "project", sandbox, isolation={"uids": uids}) as fleet:
        for number, name in enumerate(("shop", "support")):
            home = fleet.folder / name
            home.mkdir(mode=0o700)
            os.chown(home, FIRST_UID + number, FIRST_UID + number)
            fleet.add(name, cwd=str(home))
        fleet.prefix = ["setpriv", f"--bounding-set={bounding}", "--no-new-privs", *under(SERVICE, ISOLATION)]
        fleet.environ["COVERAGE_PROCESS_CONFIG"] = ""
        work_a_day(fleet)
