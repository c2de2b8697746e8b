"""brama-supervisor itself, through its command."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import psutil
import yaml

from benchmarks.peers.base import living, run_quiet, terminate_tree
from benchmarks.processes import tree
from benchmarks.project import Bot, Project
from brama.clock import monotonic_s

COMMAND = str(Path(sys.executable).with_name("brama-supervisor"))


class Ours:
    """A configuration with one entry a bot, started in the foreground."""

    name = "brama-supervisor"
    settings = "waits of 0, 1, 5, 15, 45 s, budget raised to 1000 deaths; durability full"

    def __init__(
        self,
        extra: Mapping[str, object] = {},
        environment: Mapping[str, str] = {},
        command: str = COMMAND,
    ) -> None:
        self._extra = extra
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._config = Path()
        #: By the bot's name: what its entry has besides.
        self._changes: Mapping[str, Mapping[str, object]] = {}

    def extend(self, extra: Mapping[str, object]) -> None:
        """Have the configuration written with these sections from now on."""
        self._extra = {**self._extra, **extra}

    def start(self, project: Project) -> None:
        """Write the configuration as it was written last, then start the master."""
        self.configure(project, self._changes)
        self._process = run_quiet(
            [self._command, "start", "--config", str(self._config)], project, self._environment
        )

    def configure(self, project: Project, changes: Mapping[str, Mapping[str, object]] = {}) -> None:
        """Write the configuration, with further keys for some bots."""
        self._changes = changes
        self._config = config = project.folder / "brama.yaml"
        document = {
            "telegram": {"base_url": project.base_url},
            "api": {"port": 0},
            "restart": {"budget": 1000},
            **self._extra,
            "bots": [
                {"id": bot.name, "token": bot.token, "script": str(project.script), "token_env": "BOT_TOKEN",
                 "env": {"BOT_API": project.base_url}, "cwd": str(project.folder),
                 **changes.get(bot.name, {})}
                for bot in project.bots
            ],
        }  # fmt: skip
        draft = config.with_suffix(".draft")
        draft.touch(0o600)
        draft.write_text(yaml.safe_dump(document))
        draft.replace(config)  # a master that starts now reads one or the other

    def roots(self) -> list[int]:
        """Return the master's pid."""
        return living(self._process)

    def worker_pid(self, bot: Bot) -> int:
        """Return the worker of a bot."""
        return self.pid_titled(f"brama: bot {bot.name}")

    def pid_titled(self, title: str) -> int:
        """Return the process below the master with this title.

        Raises:
            LookupError: there is none.
        """
        for process in tree(self.roots()):
            try:
                if process.cmdline()[:1] == [title]:
                    return process.pid
            except psutil.NoSuchProcess:
                continue
        raise LookupError(f"no process titled {title}")

    def status(self) -> dict[str, Any]:
        """Return what ``status --json`` prints."""
        command = [self._command, "status", "--json", "--config", str(self._config)]
        return cast(dict[str, Any], json.loads(subprocess.run(command, stdout=subprocess.PIPE).stdout))

    def kill(self) -> float:
        """SIGKILL the master and reap it; return the moment in monotonic seconds."""
        assert self._process is not None
        moment = monotonic_s()
        self._process.kill()
        self._process.wait()
        return moment

    def stop(self) -> None:
        """SIGTERM to the master: the graceful stop."""
        assert self._process is not None
        terminate_tree(self._process)
