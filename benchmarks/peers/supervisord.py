"""supervisord, in a virtual environment of its own, since its import name is ours."""

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.base import (
    PYTHON,
    bot_environment,
    living,
    pid_by_environment,
    run_quiet,
    terminate_tree,
)
from benchmarks.project import Bot, Project

VERSION = "4.3.0"

_HEAD = """[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
minfds=20000
"""
_PROGRAM = """
[program:{name}]
command={python} {script}
directory={folder}
environment={environment}
autorestart=true
startsecs=1
startretries=1000
stopwaitsecs=90
stdout_logfile={folder}/{name}.out
stderr_logfile={folder}/{name}.err
"""


def install(folder: Path) -> Path:
    """Make an environment with supervisord in ``folder``; return its command.

    Raises:
        subprocess.CalledProcessError: PyPI is out of reach.
    """
    command = folder / "bin" / "supervisord"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", f"supervisor=={VERSION}", "setuptools<81"]
        subprocess.run(pip, check=True)
    return command


class Supervisord:
    """One program section a bot."""

    name = f"supervisord {VERSION}"
    settings = "autorestart=true, startsecs=1, startretries=1000"

    def __init__(self, command: Path) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, project: Project) -> None:
        """Write the configuration, then start supervisord in the foreground."""
        sections = [
            _PROGRAM.format(
                name=bot.name,
                python=PYTHON,
                script=project.script,
                folder=project.folder,
                environment=",".join(f'{k}="{v}"' for k, v in bot_environment(project, bot).items()),
            )
            for bot in project.bots
        ]
        config = project.folder / "supervisord.conf"
        config.write_text(_HEAD.format(folder=project.folder) + "".join(sections))
        self._process = run_quiet([str(self._command), "-c", str(config)], project)

    def roots(self) -> list[int]:
        """Return supervisord's pid."""
        return living(self._process)

    def worker_pid(self, bot: Bot) -> int:
        """Return the Python process of a bot."""
        return pid_by_environment(self.roots(), bot)

    def stop(self) -> None:
        """SIGTERM to supervisord, which stops every program."""
        assert self._process is not None
        terminate_tree(self._process)
