"""python-telegram-bot's own webhook server, in a virtual environment of its own: it needs more packages."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from benchmarks.front import WEBHOOK_SECRET
from benchmarks.peers.base import bot_environment, living, run_quiet, terminate_tree
from benchmarks.ports import free_port
from benchmarks.project import Bot, Project
from benchmarks.webhook_order import Target


def install(folder: Path) -> Path:
    """Make an environment with this version of python-telegram-bot in ``folder``; return its Python.

    Raises:
        subprocess.CalledProcessError: PyPI is out of reach.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        version = importlib.metadata.version("python-telegram-bot")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = f"python-telegram-bot[webhooks]=={version}"
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", wanted], check=True)
    return python


class RunWebhook:
    """One bare process with ``run_webhook()``, for a project of one bot."""

    name = "bare run_webhook"
    settings = "no supervisor"

    def __init__(self, python: Path) -> None:
        self._python = python
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, project: Project) -> None:
        """Start the script."""
        (bot,) = project.bots
        own = {"WEBHOOK_PORT": str(self._port), "WEBHOOK_PATH": _path(bot), "WEBHOOK_SECRET": WEBHOOK_SECRET}
        command = [str(self._python), str(project.script)]
        self._process = run_quiet(command, project, {**bot_environment(project, bot), **own})

    def target(self, _project: Project, bot: Bot) -> Target:
        """Return where the bot's updates go."""
        return Target(f"http://127.0.0.1:{self._port}/{_path(bot)}", WEBHOOK_SECRET)

    def roots(self) -> list[int]:
        """Return the script's pid."""
        return living(self._process)

    def worker_pid(self, _bot: Bot) -> int:
        """Return the script's pid.

        Raises:
            LookupError: it has ended.
        """
        if not (pids := self.roots()):
            raise LookupError("the script has ended")
        return pids[0]

    def stop(self) -> None:
        """SIGTERM to the script."""
        assert self._process is not None
        terminate_tree(self._process)


def _path(bot: Bot) -> str:
    return f"webhook/{bot.name}"
