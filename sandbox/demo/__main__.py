"""``python -m sandbox.demo``: a sandbox, four bots and the supervisor, on one machine without a network."""

import argparse
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from brama.clock import monotonic_s
from brama.exit_codes import ExitCode
from sandbox.calls import SandboxError
from sandbox.client import SandboxControl
from sandbox.demo.once import Play
from sandbox.demo.processes import (
    DemoError,
    Supervisor,
    running_sandbox,
    running_supervisor,
    spoken_command,
)
from sandbox.demo.project import SAMPLE_BOTS, DemoProject, write_project


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="brama-supervisor demo", description="A sandbox, four sample bots and the supervisor, here."
    )
    parser.add_argument("--once", action="store_true", help="talk to the bots, show it, stop, end")
    once: bool = parser.parse_args().once
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    console = Console(highlight=False)
    try:
        with tempfile.TemporaryDirectory(prefix="brama-demo-") as folder:
            _run(console, Path(folder), once=once)
    except KeyboardInterrupt:
        console.print("stopped, nothing is left")
        return ExitCode.FAILED if once else ExitCode.OK
    except (DemoError, SandboxError, OSError) as error:
        sys.stderr.write(f"brama-supervisor demo: {error}\n")
        return ExitCode.FAILED
    return ExitCode.OK


def _run(console: Console, folder: Path, *, once: bool) -> None:
    with running_sandbox() as base_url:
        control = SandboxControl(base_url)
        project = write_project(folder, base_url)
        for bot in SAMPLE_BOTS:
            control.add_bot(project.tokens[bot.name], username=f"{bot.name}_bot", first_name=bot.title)
        began_at = monotonic_s()
        with running_supervisor(project) as supervisor:
            took_s = monotonic_s() - began_at
            if once:
                _perform(console, control, supervisor, base_url, took_s)
            else:
                _invite(console, supervisor, base_url, took_s)


def _perform(
    console: Console, control: SandboxControl, supervisor: Supervisor, base_url: str, took_s: float
) -> None:
    _point(console, "sandbox", f"{base_url} stands in for api.telegram.org")
    _point(console, "bots", f"{len(SAMPLE_BOTS)} python-telegram-bot scripts, up after {took_s:.1f} s")
    Play(console, control, supervisor).perform()
    console.print()
    console.print(Text("$ brama-supervisor status", style="bold"))
    code = supervisor.run("status")
    if code != ExitCode.OK:
        raise DemoError(f"status ended with exit code {code}")
    began_at = monotonic_s()
    code = supervisor.stop()
    if code != ExitCode.OK:
        raise DemoError(f"the supervisor ended with exit code {code}")
    console.print()
    console.print(f"stopped in {monotonic_s() - began_at:.1f} s, nothing is left")


def _invite(console: Console, supervisor: Supervisor, base_url: str, took_s: float) -> None:
    names = ", ".join(bot.name for bot in SAMPLE_BOTS)
    console.print(f"{len(SAMPLE_BOTS)} bots up after {took_s:.1f} s: {names}")
    console.print()
    project = supervisor.project
    command = shlex.quote(spoken_command())
    _point(console, "talk to them", f"{base_url}/")
    _point(console, "see them run", f"{command} status --watch {_config(project)}")
    _point(console, "read along", f"{command} logs -f {_config(project)}")
    _point(console, "look inside", f"{project.root}  (brama.yaml, bots/, logs/)")
    victim = supervisor.workers()["pizza"]["pid"]
    _point(console, "do harm", f"kill -KILL {victim}  while you order a pizza; then go on ordering")
    console.print()
    console.print("Ctrl-C stops everything and removes the folder.")
    code = supervisor.wait()
    raise DemoError(f"the supervisor ended with exit code {code}: {supervisor.errors}")


def _config(project: DemoProject) -> str:
    return f"--config {shlex.quote(str(project.config))}"


def _point(console: Console, what: str, where: str) -> None:
    console.print(Text.assemble((f"{what:<14}", "bold"), where), soft_wrap=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
