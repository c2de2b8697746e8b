"""pm2, installed by npm into a folder of its own."""

import json
import os
import subprocess
from pathlib import Path

from benchmarks.peers.base import PYTHON, STOP_TIMEOUT_S, bot_environment, pid_by_environment, run_quiet
from benchmarks.processes import tree, wait_gone
from benchmarks.project import Bot, Project

VERSION = "6.0.13"


def install(folder: Path) -> Path:
    """Install pm2 below ``folder``; return its command.

    Raises:
        FileNotFoundError: there is no npm.
        subprocess.CalledProcessError: the npm registry is out of reach.
    """
    command = folder / "node_modules" / ".bin" / "pm2"
    if not command.exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = [
            "npm",
            "install",
            "--silent",
            "--no-fund",
            "--no-audit",
            "--prefix",
            str(folder),
            f"pm2@{VERSION}",
        ]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)
    return command


class Pm2:
    """One app a bot in an ecosystem file, run by a pm2 daemon of its own (PM2_HOME)."""

    name = f"pm2 {VERSION}"
    settings = "autorestart, no restart delay, max_restarts 1000"

    def __init__(self, command: Path) -> None:
        self._command = command
        self._home = Path()
        self._starter: subprocess.Popen[bytes] | None = None

    def start(self, project: Project) -> None:
        """Write the ecosystem file, then give ``pm2 start``."""
        self._home = project.folder / "pm2"
        apps = [
            {
                "name": bot.name,
                "script": str(project.script),
                "interpreter": PYTHON,
                "cwd": str(project.folder),
                "env": bot_environment(project, bot),
                "max_restarts": 1000,
                "min_uptime": 0,
                "kill_timeout": 90_000,
            }
            for bot in project.bots
        ]
        ecosystem = project.folder / "ecosystem.json"
        ecosystem.write_text(json.dumps({"apps": apps}))
        self._starter = run_quiet([str(self._command), "start", str(ecosystem)], project, self._environment())

    def roots(self) -> list[int]:
        """Return the daemon's pid as long as it lives."""
        file = self._home / "pm2.pid"
        return [int(file.read_text())] if file.exists() else []

    def worker_pid(self, bot: Bot) -> int:
        """Return the Python process of a bot."""
        return pid_by_environment(self.roots(), bot)

    def stop(self) -> None:
        """``pm2 kill``: stops every app, then the daemon."""
        processes = tree(self.roots())
        if self._starter is not None:
            self._starter.wait(STOP_TIMEOUT_S)
        environment = {**os.environ, **self._environment()}
        kill = [str(self._command), "kill"]
        subprocess.run(kill, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=STOP_TIMEOUT_S)
        wait_gone(processes, STOP_TIMEOUT_S)

    def _environment(self) -> dict[str, str]:
        return {"PM2_HOME": str(self._home), "PM2_DISABLE_VERSION_CHECK": "true"}
