"""What operators do about jobs: the installed command, a real master, a receiver that is down first."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from brama.exit_codes import ExitCode
from supervisor.control.jobs_status import JobAlertStatus, JobsStatus
from tests.fixtures.fleet import SCRIPTS, Fleet, new_fleet
from tests.fixtures.sandbox import running_sandbox
from tests.ports import free_port
from tests.waiting import wait_until

ASKING = SCRIPTS / "asking.py"
JOBS = SCRIPTS / "asking_jobs.py"
ALERT_PORT = free_port()


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet with a job queue, one bot, and an operator who wants to be told."""
    alert = {"url": f"http://127.0.0.1:{ALERT_PORT}/alert", "token": "t0ken"}
    jobs = {"enabled": True, "modules": [JOBS.stem], "workers": 1, "alert": alert}
    with (
        running_sandbox() as sandbox,
        new_fleet(tmp_path / "project", sandbox, jobs=jobs, api={"port": free_port()}) as fleet,
    ):
        shutil.copy(JOBS, fleet.folder)
        yield fleet


@contextmanager
def receiving() -> Iterator[list[dict[str, Any]]]:
    """Take alerts until the block ends; what comes is in the list."""
    came: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Authorization"] == "Bearer t0ken"
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", ALERT_PORT), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def jobs_of(fleet: Fleet) -> JobsStatus:
    status = fleet.status().jobs
    assert status is not None
    return status


def alert_of(fleet: Fleet) -> JobAlertStatus:
    alert = jobs_of(fleet).alert
    assert alert is not None
    return alert


def say(fleet: Fleet, *arguments: str) -> str:
    """Type a command that works; return what it says."""
    done = fleet.run("jobs", *arguments)
    assert (done.returncode, done.stderr) == (ExitCode.OK, ""), done
    return done.stdout


def test_an_operator_is_told_of_a_dead_job_looks_at_it_and_retries_it(asking: Fleet):
    bot = asking.add("asking", ASKING)
    asking.start_and_wait()
    bot.ask("REFUSE this")
    bot.wait_answers(2)
    (letter,) = json.loads(say(asking, "list", "--json"))
    assert (letter["queue"], letter["cause"]) == ("REFUSE", "permanent")
    shown = say(asking, "show", str(letter["id"]))
    assert '"text": "this"' in shown
    assert "in refuse" in shown
    wait_until(lambda: "Cannot connect to host" in (alert_of(asking).error or ""))
    assert alert_of(asking).waiting == 1
    assert "1 alert not delivered: jobs.alert: Cannot connect" in asking.run("status").stdout
    with receiving() as alerts:
        wait_until(lambda: alerts, 60.0, what="the alert, the receiver being there at last")
        assert alerts[0]["letters"][0]["letter_id"] == letter["id"]
        assert "this" not in json.dumps(alerts)
        assert say(asking, "retry", str(letter["id"])) == "retried 1\n"
        wait_until(lambda: len(alerts) == 2, 60.0, what="the alert about the second death")
    wait_until(lambda: jobs_of(asking).dead_letters == 1)
    with urlopen(f"http://127.0.0.1:{asking.sections['api']['port']}/metrics") as answer:
        metrics = answer.read().decode()
    for series in ('brama_jobs_dead_letters{cause="permanent"}', 'brama_jobs_worker_up{worker="1"} 1.0'):
        assert series in metrics
    assert say(asking, "resolve", "--all", "--note", "no use") == "resolved 1\n"
    wait_until(lambda: jobs_of(asking).dead_letters == 0)


def test_an_alert_outlives_a_killed_master_and_comes_once(asking: Fleet):
    bot = asking.add("asking", ASKING)
    asking.start_and_wait()
    bot.ask("REFUSE this")
    bot.wait_answers(2)
    wait_until(lambda: alert_of(asking).failures, 40.0, what="a post that nobody takes")
    asking.kill_master()
    with receiving() as alerts:
        asking.start_and_wait()
        wait_until(lambda: alert_of(asking).told == 1, 60.0, what="the alert of the master before")
        bot.ask("REFUSE that")
        wait_until(lambda: alert_of(asking).told == 2, 60.0, what="the alert about the next job")
    told = [letter["letter_id"] for alert in alerts for letter in alert["letters"]]
    assert len(told) == len(set(told)) == 2


def test_a_queue_is_paused_over_a_restart_and_dealt_with_while_no_master_runs(asking: Fleet):
    bot = asking.add("asking", ASKING)
    asking.start_and_wait()
    bot.ask("REFUSE this")
    bot.wait_answers(2)
    assert say(asking, "pause", "SHOUT") == "SHOUT: paused\n"
    assert bot.ask("SHOUT hello") == "asked hello"
    assert asking.stop() == ExitCode.OK
    assert "PermanentError: no, never" in say(asking, "list")
    assert say(asking, "resolve", "1", "--note", "seen") == "resolved 1\n"
    away = asking.run("jobs", "queues")
    assert away.returncode == ExitCode.FAILED
    assert "this needs the queue's server, and unix://" in away.stderr
    asking.start_and_wait()
    wait_until(lambda: jobs_of(asking).waiting == 1)
    (paused,) = [each for each in json.loads(say(asking, "queues", "--json")) if each["paused"]]
    assert (paused["name"], paused["waiting"]) == ("SHOUT", 1)
    assert "jobs: paused: SHOUT" in asking.run("status").stdout
    assert len(bot.answers()) == 3
    assert say(asking, "resume", "SHOUT") == "SHOUT: resumed\n"
    assert bot.wait_answers(4)[3] == "hello: HELLO"
