"""Runs the sandbox and the supervisor for the demo, and ends them with it.

Both are the real things, started as a person would start them.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from brama.clock import monotonic_s
from sandbox.demo.project import DemoProject

_PR_SET_PDEATHSIG = 1
_SANDBOX_PORT = 8081
_API_PORT = 3001
#: Long enough for a laptop that does much else.
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 120.0
_PAUSE_S = 0.05
#: Ports for the API before the demo gives up; losing one is rare, losing two in a row rarer.
_PORTS_TRIED = 5
#: What configures a supervisor in the environment, and would reach the demo's as well.
_CONFIGURING = (
    "BOT_MODE",
    "WEBHOOK_",
    "AUTO_SWITCH_MODE",
    "REDIS_",
    "WORKER_CONCURRENCY",
    "ALLOWED_API_KEY",
    "LOG_LEVEL",
)
_SINGLE_KEYS = frozenset({"BRAMA_CONFIG", "BRAMA_MODE", "BRAMA_STATE_DIR", "BRAMA_LOGS_DIR"})

_libc = ctypes.CDLL(None)
# A proxy of the person's would not find this machine's loopback addresses.
_open = build_opener(ProxyHandler({})).open


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


def command() -> list[str]:
    """Return how this installation's ``brama-supervisor`` is run from a program."""
    return [sys.executable, "-P", "-c", "from brama.console import main; main()"]


def spoken_command() -> str:
    """Return what a person types for ``brama-supervisor``: its path where the shell would not find it."""
    own = Path(sys.executable).with_name("brama-supervisor")
    if shutil.which("brama-supervisor") == str(own) or not own.exists():
        return "brama-supervisor"
    try:
        return str(own.relative_to(Path.cwd()))
    except ValueError:
        return str(own)


def is_free(port: int) -> bool:
    """Return whether ``port`` of the loopback address could be had a moment ago; somebody may be quicker."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def some_free_port() -> int:
    """Return a port of the loopback address that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_sandbox() -> Iterator[str]:
    """Run a sandbox on its usual port, or on any if that is taken; give its address."""
    process = None
    for port in (_SANDBOX_PORT, 0):
        process = _spawn(
            [sys.executable, "-P", "-m", "sandbox", "--port", str(port)],
            stdout=subprocess.PIPE,
            # That the usual port is taken is nothing to tell a person, only that no port can be had.
            stderr=subprocess.DEVNULL if port else None,
        )
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        if line:
            break
        _end(process)
    else:
        raise DemoError("the sandbox did not start")
    try:
        yield line.split()[-1]
    finally:
        _end(process)


class Supervisor:
    """A supervisor that was started on the demo's project, with its API on ``api_port``.

    What it says on stderr is kept in ``errors``. Its lines on stdout are in master.log too; here they would
    stand between those of the demo.
    """

    def __init__(self, project: DemoProject, api_port: int) -> None:
        self.project = project
        self._api = f"http://127.0.0.1:{api_port}"
        self._errors = project.root / "supervisor.err"
        with self._errors.open("wb") as errors:
            self._process = _spawn(
                [*command(), "start", "--config", str(project.config)],
                stdout=subprocess.DEVNULL,
                stderr=errors.fileno(),
            )

    @property
    def pid(self) -> int:
        """The master's process."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """What it said was wrong."""
        return self._errors.read_text(errors="replace").strip()

    def has_ended(self) -> bool:
        """Return whether the process is gone."""
        return self._process.poll() is not None

    def wait_started(self) -> None:
        """Wait until every bot runs. Raises DemoError if one does not."""
        deadline = monotonic_s() + START_TIMEOUT_S
        while monotonic_s() < deadline:
            if self.has_ended():
                raise DemoError(f"the supervisor ended with exit code {self.wait()}: {self.errors}")
            workers = self.workers()
            if workers and all(worker["state"] == "RUNNING" for worker in workers.values()):
                return
            if fatal := [worker for worker in workers.values() if worker["state"] == "FATAL"]:
                raise DemoError(f"{fatal[0]['bot_id']} does not run: {fatal[0]['reason']}")
            select.select([], [], [], _PAUSE_S)
        raise DemoError(f"the bots do not run after {START_TIMEOUT_S:g} s")

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return the bots of the status document by id; none while this supervisor's API does not answer.

        Another supervisor's answer on the same port counts as none: this demo kills by the pids it reads.
        """
        try:
            with _open(f"{self._api}/api/workers/status", timeout=10) as answer:
                document = json.load(answer)
        except (URLError, ConnectionError, TimeoutError, ValueError):
            return {}
        if document["master"]["pid"] != self.pid:
            return {}
        return {worker["bot_id"]: worker for worker in document["workers"]}

    def run(self, *arguments: str) -> int:
        """Run one more command of the product about this project, on the demo's own terminal."""
        sys.stdout.flush()
        full = [*command(), *arguments, "--config", str(self.project.config)]
        return subprocess.run(full, env=_environment(), check=False).returncode

    def wait(self) -> int:
        """Wait for the end of the supervisor; return its exit code."""
        return self._process.wait()

    def stop(self) -> int:
        """Stop it gracefully; return its exit code."""
        return _end(self._process)


@contextmanager
def running_supervisor(project: DemoProject) -> Iterator[Supervisor]:
    """Run the supervisor on ``project`` until its bots run and the block has ended."""
    supervisor = _start(project, _API_PORT if is_free(_API_PORT) else some_free_port())
    try:
        for _ in range(_PORTS_TRIED):
            try:
                supervisor.wait_started()
                break
            except DemoError:
                # Somebody took the port between the look and the use of it.
                if not (supervisor.has_ended() and "api.port" in supervisor.errors):
                    raise
                supervisor = _start(project, some_free_port())
        else:
            raise DemoError(f"no port of 127.0.0.1 could be had: {supervisor.errors}")
        yield supervisor
    finally:
        supervisor.stop()


def _start(project: DemoProject, api_port: int) -> Supervisor:
    project.configure(api_port)
    return Supervisor(project, api_port)


def _spawn(arguments: list[str], *, stdout: int, stderr: int | None = None) -> "subprocess.Popen[bytes]":
    """Start a process that Ctrl-C does not reach, and that ends when the demo does, however that ends."""
    return subprocess.Popen(
        arguments,
        stdout=stdout,
        stderr=stderr,
        stdin=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
        preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
    )


def _environment() -> Mapping[str, str]:
    """Return the person's environment without what would configure the demo's supervisor."""
    kept = {name: value for name, value in os.environ.items() if not _configures(name)}
    return kept | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _configures(name: str) -> bool:
    is_general = name.startswith("BRAMA_") and "__" in name
    return is_general or name in _SINGLE_KEYS or name.startswith(_CONFIGURING)


def _end(process: "subprocess.Popen[bytes]") -> int:
    if process.poll() is None:
        process.terminate()
    try:
        code = process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return code
