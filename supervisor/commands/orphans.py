"""``orphans``: what is kept of bots that are not configured any more.

Runs in: command line.
"""

import sys
from typing import Annotated

import typer

from brama.exit_codes import ExitCode
from supervisor.commands.asking import master_of
from supervisor.commands.options import ConfigOption, JsonOption

_HELP = "Updates kept of bots that were removed from the configuration."


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    group = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_orphans)
    group.command("drop")(drop)
    app.add_typer(group, name="orphans")


def list_orphans(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """List bots that are not configured and of which updates or dead letters are kept.

    They are handed out again when a token of the same bot is configured, under whatever name.
    """
    import msgspec

    from supervisor.control.policy.remarks import describe_orphan

    with master_of(context, config) as project:
        orphans = project.client.status().orphans
    if as_json:
        typer.echo(msgspec.json.encode(orphans))
        return ExitCode.OK
    for orphan in orphans:
        typer.echo(describe_orphan(orphan))
    if not orphans:
        typer.echo("nothing is kept of bots that are not configured")
    return ExitCode.OK


def drop(
    context: typer.Context,
    telegram_id: Annotated[int, typer.Argument(metavar="TELEGRAM_ID", help="Its token's digits.")],
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete for good what is kept of one such bot, its dead letters included."""
    from supervisor.control.policy.words import plural

    with master_of(context, config) as project:
        if not yes and not _confirm(telegram_id):
            return ExitCode.FAILED
        count = project.client.drop_orphan(telegram_id)
    typer.echo(f"dropped {plural(count, 'update')}")
    return ExitCode.OK


def _confirm(telegram_id: int) -> bool:
    if not sys.stdin.isatty():
        raise typer.BadParameter("dropping updates needs a yes: add --yes", param_hint="--yes")
    return typer.confirm(f"Delete all that is kept of bot {telegram_id} for good?", err=True)
