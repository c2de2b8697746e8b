"""The least a person can do: one bash loop that starts each bot again whenever it ends."""

import subprocess

from benchmarks.peers.base import (
    PYTHON,
    bot_environment,
    living,
    pid_by_environment,
    run_quiet,
    terminate_tree,
)
from benchmarks.project import Bot, Project

_LOOP = """
stopping=
trap 'stopping=1; kill -TERM $(jobs -p) 2>/dev/null; wait; exit 0' TERM
"""
_BOT = """
(
    trap 'kill -TERM $child; wait $child; exit 0' TERM
    while true; do env {environment} {python} {script} & child=$!; wait $child; done
) &
"""


class BashLoop:
    """One bash with a background loop for each bot."""

    name = "bash loop"
    settings = "starts again at once, without limit"

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, project: Project) -> None:
        """Write the script of loops, then start it."""
        script = project.folder / "loops.sh"
        loops = [
            _BOT.format(
                environment=" ".join(f"{k}={v}" for k, v in bot_environment(project, bot).items()),
                python=PYTHON,
                script=project.script,
            )
            for bot in project.bots
        ]
        script.write_text(_LOOP + "".join(loops) + "wait\n")
        self._process = run_quiet(["bash", str(script)], project)

    def roots(self) -> list[int]:
        """Return the outer bash."""
        return living(self._process)

    def worker_pid(self, bot: Bot) -> int:
        """Return the Python process of a bot."""
        return pid_by_environment(self.roots(), bot)

    def stop(self) -> None:
        """SIGTERM to the outer bash, which hands it on."""
        assert self._process is not None
        terminate_tree(self._process)
