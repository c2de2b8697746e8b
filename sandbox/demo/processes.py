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
#: What configures a supervisor in the environment, and would reach the demo's as well.
_CONFIGURING = ("BOT_MODE", "WEBHOOK_", "AUTO_SWITCH_MODE", "REDIS_URL", "ALLOWED_API_KEY", "LOG_LEVEL")
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


def prefer_port(port: int) -> int:
    """Return ``port`` if it is free on the loopback address, else another that is."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("no port of 127.0.0.1 is free")


@contextmanager
def running_sandbox() -> Iterator[str]:
    """Run a sandbox; give its address."""
    port = prefer_port(_SANDBOX_PORT)
    process = _spawn([sys.executable, "-P", "-m", "sandbox", "--port", str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        _, found, base_url = line.strip().rpartition(" ")
        if not found:
            raise DemoError("the sandbox did not start")
        yield base_url
    finally:
        _end(process)
        if process.stdout is not None:
            process.stdout.close()


class Supervisor:
    """The demo's supervisor."""

    def __init__(self, project: DemoProject, api_port: int) -> None:
        self.project = project
        self._api = f"http://127.0.0.1:{api_port}"
        # Its lines are in master.log too; here they would stand between those of the demo.
        self._process = _spawn(
            [*command(), "start", "--config", str(project.config)], stdout=subprocess.DEVNULL
        )

    @property
    def pid(self) -> int:
        """The master's process."""
        return self._process.pid

    def wait_started(self) -> None:
        """Wait until every bot runs. Raises DemoError if one does not."""
        deadline = monotonic_s() + START_TIMEOUT_S
        while monotonic_s() < deadline:
            if (code := self._process.poll()) is not None:
                raise DemoError(f"the supervisor ended with exit code {code}")
            workers = self.workers()
            if workers and all(worker["state"] == "RUNNING" for worker in workers.values()):
                return
            if fatal := [worker for worker in workers.values() if worker["state"] == "FATAL"]:
                raise DemoError(f"{fatal[0]['bot_id']} does not run: {fatal[0]['reason']}")
            select.select([], [], [], _PAUSE_S)
        raise DemoError(f"the bots do not run after {START_TIMEOUT_S:g} s; {self.project.root}/logs says why")

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return the bots of the status document by id; none while the API does not answer."""
        try:
            with _open(f"{self._api}/api/workers/status", timeout=10) as answer:
                return {worker["bot_id"]: worker for worker in json.load(answer)["workers"]}
        except (URLError, ConnectionError, TimeoutError):
            return {}

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
def running_supervisor(project: DemoProject, api_port: int) -> Iterator[Supervisor]:
    """Run the supervisor on ``project``."""
    supervisor = Supervisor(project, api_port)
    try:
        yield supervisor
    finally:
        supervisor.stop()


def free_api_port() -> int:
    """Return the supervisor's usual port, or another if that is taken."""
    return prefer_port(_API_PORT)


def _spawn(arguments: list[str], *, stdout: int) -> "subprocess.Popen[bytes]":
    """Start a process that Ctrl-C does not reach, and that ends when the demo does, however that ends."""
    return subprocess.Popen(
        arguments,
        stdout=stdout,
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
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
