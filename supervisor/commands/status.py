"""``status``: what runs, what does not, and why.

Runs in: command line.
"""

import select
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from brama.errors import NoMasterError, UnreachableError
from brama.exit_codes import ExitCode
from supervisor.commands.options import ConfigOption, JsonOption, config_of

if TYPE_CHECKING:
    from supervisor.commands.project import Project
    from supervisor.control.status import Status

REFRESH_S = 1.0


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(status)


def status(
    context: typer.Context,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it anew every second, until Ctrl-C.")
    ] = False,
) -> int:
    """Show every bot: its state, the reason for it, its counters.

    Exits with 0 if every wanted bot is RUNNING or SLEEPING, 1 if one is not, 3 if no master runs.

    With --json --watch, one line of JSON a second.

    \b
    Examples:
      brama-supervisor status --watch
      brama-supervisor status --json | jq '.workers[] | select(.state != "RUNNING")'
    """
    from supervisor.commands.project import open_project

    with open_project(config_of(context, config)) as project:
        try:
            if watch:
                return _watch(project, as_json)
            return _show(project, as_json)
        except NoMasterError as error:
            if project.problem is not None:
                raise
            return _say_no_master(project, error)


def _show(project: "Project", as_json: bool) -> int:
    from supervisor.control.policy.progress import all_wanted_up
    from supervisor.control.status import decode_status

    data = project.client.status_json()
    snapshot = decode_status(data)
    if as_json:
        sys.stdout.write(data.decode())
    else:
        _print(snapshot)
    return ExitCode.OK if all_wanted_up(snapshot) else ExitCode.FAILED


def _print(snapshot: "Status") -> None:
    from rich.console import Console

    from supervisor.control.table import print_status

    print_status(snapshot, Console(highlight=False))


def _watch(project: "Project", as_json: bool) -> int:
    if as_json:
        while True:
            sys.stdout.write(project.client.status_json().decode())
            sys.stdout.flush()
            select.select([], [], [], REFRESH_S)
    if not sys.stdout.isatty():
        while True:
            _print(project.client.status())
            sys.stdout.write("\n")
            sys.stdout.flush()
            select.select([], [], [], REFRESH_S)
    return _watch_on_terminal(project)


def _watch_on_terminal(project: "Project") -> int:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from supervisor.control.table import StatusTable

    # A master that is being restarted comes back: without one the watch goes on.
    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(StatusTable(project.client.status(), is_bounded=True), refresh=True)
            except (NoMasterError, UnreachableError) as error:
                live.update(Text(f"{project.config_path}: {error}; trying again", "yellow"), refresh=True)
            select.select([], [], [], REFRESH_S)


def _say_no_master(project: "Project", error: NoMasterError) -> int:
    from supervisor.commands.advice import start_advice

    sys.stderr.write(f"brama-supervisor: {error} for {project.config_path}; {start_advice(project)}\n")
    return ExitCode.NO_MASTER
