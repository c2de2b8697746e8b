"""The demo as a newcomer runs it."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from io import BytesIO
from pathlib import Path

import psutil
import pytest

from sandbox.demo import processes
from tests.waiting import wait_until

COMMAND = str(Path(sys.executable).with_name("brama-supervisor"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with nothing of ours in it, and settings of the person's own that must not reach the demo."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("BRAMA_CONFIG", "/nowhere/brama.yaml")
    monkeypatch.setenv("BRAMA_API__PORT", "1")
    monkeypatch.setenv("BOT_MODE", "webhook")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "__init__.py").write_text("raise SystemExit('the wrong sandbox')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folders(home: Path) -> list[Path]:
    return list(home.glob("brama-demo-*"))


def test_once_talks_to_every_bot_and_leaves_nothing(home):
    command = [COMMAND, "demo", "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "greeter   good morning",
        "pizza     Which size may it be?  [Small]  [Large]  [Huge]",
        "pizza     A large one. What do you want on it?",
        "pizza     Good choice. Which street shall it go to?",
        "reminder  Time to take the tea out!",
        "oracle    Let me think.",
        "oracle    I thought about your 4 words for 2 s. The answer is yes.",
        "4 bots: 4 running",
    ):
        assert line in done.stdout
    killed, successor = (
        re.search(pattern, done.stdout) for pattern in (r"kill -9 (\d+)", r"answered by process (\d+)")
    )
    assert killed is not None
    assert successor is not None
    assert killed[1] != successor[1]
    assert "a large pizza with mushrooms is on its way to 12 Main" in done.stdout
    assert not folders(home)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_stop(home, end):
    demo = subprocess.Popen([COMMAND, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        said: list[str] = []
        while not (said and said[-1].startswith("Ctrl-C")):
            line = demo.stdout.readline()
            assert line, f"the demo ended early: {said} {demo.stderr and demo.stderr.read()}"
            said.append(line)
        text = "".join(said)
        page = re.search(r"http://127\.0\.0\.1:\d+/", text)
        assert page is not None
        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with browser.open(page[0]) as answer:
            assert b"<title>" in answer.read(500)
        config = re.search(r"--config (\S+)", text)
        assert config is not None
        status = subprocess.run([COMMAND, "status", "--config", config[1]], capture_output=True, check=False)
        assert status.returncode == 0
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(end)
        rest, err = demo.communicate(timeout=60)
        assert (demo.returncode, err) == (0, "")
        assert rest.splitlines()[-1] == "stopped, nothing is left"
        wait_until(lambda: not any(child.is_running() for child in children), what="the end of all processes")
        assert not folders(home)
    finally:
        demo.kill()
        demo.communicate()


def test_its_processes_end_when_it_is_killed(home):
    demo = subprocess.Popen([COMMAND, "demo"], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    while not (line := demo.stdout.readline()).startswith("Ctrl-C"):
        assert line
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 5  # sandbox, master, zygote, bots
    demo.kill()
    demo.communicate()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def test_the_sandbox_alone_serves_until_ctrl_c(home):
    sandbox = subprocess.Popen([COMMAND, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert sandbox.stdout is not None
        address = sandbox.stdout.readline().split()[-1]
        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with browser.open(address) as answer:
            assert b"<title>" in answer.read(500)
        sandbox.send_signal(signal.SIGINT)
        assert sandbox.wait(timeout=30) == 0
    finally:
        sandbox.kill()
        sandbox.communicate()


def test_demos_side_by_side_keep_to_their_own_fleets(home):
    command = [COMMAND, "demo", "--once"]
    pipe = subprocess.PIPE
    demos = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(3)]
    try:
        said = [demo.communicate(timeout=110) for demo in demos]
    finally:
        for demo in demos:
            demo.kill()
            demo.communicate()
    assert [(demo.returncode, err) for demo, (_, err) in zip(demos, said, strict=True)] == [(0, "")] * 3
    victims = [re.findall(r"kill -9 (\d+)", out) for out, _ in said]
    assert len({pid for found in victims for pid in found}) == 3
    assert not folders(home)


def test_another_supervisors_status_is_not_taken_for_ones_own(monkeypatch):
    """A demo kills by the pids it reads: they must be its own fleet's."""
    document = {"master": {"pid": 1}, "workers": [{"bot_id": "pizza", "pid": 1, "state": "RUNNING"}]}
    monkeypatch.setattr(processes, "_open", lambda *_, **__: BytesIO(json.dumps(document).encode()))
    own = processes.Supervisor.__new__(processes.Supervisor)
    own._api = "http://127.0.0.1:9"
    own._process = subprocess.Popen([sys.executable, "-c", ""])
    own._process.wait()
    assert own.workers() == {}
    document["master"] = {"pid": own.pid}
    assert own.workers()["pizza"]["state"] == "RUNNING"
