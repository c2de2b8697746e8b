"""What every way of running a fleet offers to the measurements."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import psutil

from benchmarks.processes import tree, wait_gone
from benchmarks.project import Bot, Project

STOP_TIMEOUT_S = 180.0
#: The variable by which a bot's process is found again, whoever started it.
BOT_NAME_VARIABLE = "BENCH_BOT"


class Peer(Protocol):
    """One way to run the bots of a project."""

    name: str
    #: The peer's restart settings, as the report states them.
    settings: str

    def start(self, project: Project) -> None:
        """Give the start command; returns when it was given, not when bots answer."""

    def roots(self) -> list[int]:
        """Return the pids whose trees are the whole cost of this peer."""

    def worker_pid(self, bot: Bot) -> int:
        """Return the pid of the process that serves ``bot`` now."""

    def stop(self) -> None:
        """Stop everything; returns when every process is gone."""


def bot_environment(project: Project, bot: Bot) -> dict[str, str]:
    """Return what the stock script needs in its environment."""
    return {"BOT_TOKEN": bot.token, "BOT_API": project.base_url, BOT_NAME_VARIABLE: bot.name}


def pid_by_environment(roots: list[int], bot: Bot) -> int:
    """Return the youngest process under ``roots`` that was started with this bot's environment.

    Raises:
        LookupError: there is none.
    """
    marker = f"{BOT_NAME_VARIABLE}={bot.name}\0".encode()
    found = []
    for process in tree(roots):
        try:
            if marker in Path(f"/proc/{process.pid}/environ").read_bytes() + b"\0":
                found.append((process.create_time(), process.pid))
        except (OSError, psutil.NoSuchProcess):
            continue
    if not found:
        raise LookupError(f"no process of {bot.name}")
    return max(found)[1]


def run_quiet(
    command: list[str], project: Project, environment: Mapping[str, str] = {}
) -> subprocess.Popen[bytes]:
    """Start ``command`` in the project's folder with its output in a file there."""
    with (project.folder / "output.log").open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=project.folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def living(process: "subprocess.Popen[bytes] | None") -> list[int]:
    """Return the pid of ``process`` as long as it lives."""
    return [process.pid] if process is not None and process.poll() is None else []


def terminate_tree(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to ``process`` and wait until its whole tree is gone."""
    processes = tree([process.pid])
    process.terminate()
    process.wait(STOP_TIMEOUT_S)
    wait_gone(processes, STOP_TIMEOUT_S)


PYTHON = sys.executable
