"""``reload``: has the running master take the configuration into use as it is now.

Runs in: command line.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from brama.exit_codes import ExitCode
from supervisor.commands.asking import master_of
from supervisor.commands.options import ConfigOption

if TYPE_CHECKING:
    from supervisor.control.ports import ReloadResult


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(reload)


def reload(
    context: typer.Context,
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change.")] = False,
) -> int:
    """Take the changed configuration into use without stopping anything that did not change.

    New bots start, removed ones finish what they have begun and stop, a changed entry restarts its bot,
    changed settings reach the running bot. Certificates are read again. If anything is wrong with the file,
    nothing is changed and all of it is said. SIGHUP to the master does the same.

    \b
    Examples:
      brama-supervisor reload --dry-run
      brama-supervisor reload
    """
    from supervisor.control.policy.touches import describe_reload

    with master_of(context, config) as project:
        result = project.client.reload(dry_run=dry_run)
    _warn(result)
    for line in describe_reload(result, is_plan=dry_run):
        typer.echo(line)
    return ExitCode.OK


def _warn(result: "ReloadResult") -> None:
    for warning in result.warnings:
        sys.stderr.write(f"warning: {warning}\n")
