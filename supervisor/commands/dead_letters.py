"""``dead-letters``: updates that were given up, to look at, replay or drop.

Runs in: command line.
"""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from brama.exit_codes import ExitCode
from supervisor.commands.asking import master_of
from supervisor.commands.options import BotOption, ConfigOption, JsonOption

if TYPE_CHECKING:
    from supervisor.control.wire import LetterSummary, Selection

DEFAULT_LIMIT = 50

IdsArgument = Annotated[list[int] | None, typer.Argument(metavar="ID", hidden=True)]
AllOption = Annotated[bool, typer.Option("--all", help="All of the bot's; needs --bot.")]


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    group = typer.Typer(
        help="List, show, replay or drop updates that were given up.",
        no_args_is_help=True,
    )
    group.command("list")(list_letters)
    group.command("show")(show)
    group.command("replay")(replay)
    group.command("drop")(drop)
    app.add_typer(group, name="dead-letters")


def list_letters(
    context: typer.Context,
    config: ConfigOption = None,
    bot: BotOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> int:
    """List dead letters, youngest first, and why each was given up."""
    with master_of(context, config) as project:
        letters = list(project.client.dead_letters(bot, limit))
    if as_json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(letters).decode() + "\n")
    elif not letters:
        typer.echo("no dead letters" + (f" of {bot}" if bot else ""))
    else:
        _print_letters(letters)
    return ExitCode.OK


def show(
    context: typer.Context,
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="The dead letter.")],
    config: ConfigOption = None,
    body: Annotated[bool, typer.Option("--body", help="Print the update too: what a person wrote.")] = False,
) -> int:
    """Show one dead letter, with the traceback of the bot's code."""
    from supervisor.commands.logs import make_safe

    with master_of(context, config) as project:
        view = project.client.dead_letter(letter_id, body=body)
    letter = view.letter
    for name, value in (
        ("id", letter.id),
        ("bot", letter.bot_id),
        ("update", letter.update_id if letter.update_id is not None else "-"),
        ("kind", letter.kind),
        ("reason", letter.reason),
        ("error", letter.error),
        ("detail", view.detail),
        ("attempts", letter.attempts),
        ("received", _moment(letter.received_utc)),
        ("given up", _moment(letter.died_utc)),
        ("size", f"{letter.size_bytes} bytes"),
    ):
        if value != "":
            typer.echo(f"{name:<9} {make_safe(str(value))}")
    for title, text in (("traceback", view.traceback), ("body", view.body or "")):
        if text:
            lines = "\n".join(make_safe(line) for line in text.rstrip().split("\n"))
            typer.echo(f"\n{title}\n{lines}")
    return ExitCode.OK


def replay(
    context: typer.Context,
    ids: IdsArgument = None,
    config: ConfigOption = None,
    bot: BotOption = None,
    everything: AllOption = False,
) -> int:
    """Hand dead letters to their bots once more, behind what waits already.

    \b
    Examples:
      brama-supervisor dead-letters replay 17 18
      brama-supervisor dead-letters replay --bot shop --all
    """
    selection = _select(ids, bot, everything)
    with master_of(context, config) as project:
        count = project.client.replay(selection)
    typer.echo(f"replayed {count}")
    return ExitCode.OK


def drop(
    context: typer.Context,
    ids: IdsArgument = None,
    config: ConfigOption = None,
    bot: BotOption = None,
    everything: AllOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete dead letters for good; asks first.

    \b
    Examples:
      brama-supervisor dead-letters drop 17
      brama-supervisor dead-letters drop --bot shop --all --yes
    """
    selection = _select(ids, bot, everything)
    with master_of(context, config) as project:
        if not yes and not _confirm(selection):
            typer.echo("nothing was dropped")
            return ExitCode.FAILED
        count = project.client.drop(selection)
    typer.echo(f"dropped {count}")
    return ExitCode.OK


def _select(ids: list[int] | None, bot: str | None, everything: bool) -> "Selection":
    from supervisor.control.wire import Selection

    if ids and not bot and not everything:
        return Selection(ids=ids)
    if bot and everything and not ids:
        return Selection(bot=bot)
    raise typer.BadParameter("name dead letters by ID, or all of one bot: --bot BOT --all", param_hint="ID")


def _confirm(selection: "Selection") -> bool:
    what = f"all dead letters of {selection.bot}" if selection.bot else f"dead letters {selection.ids}"
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"dropping {what} needs a yes: add --yes", param_hint="--yes")
    return typer.confirm(f"Delete {what} for good?", err=True)


def _print_letters(letters: "list[LetterSummary]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from supervisor.commands.logs import make_safe

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title, side in (
        ("id", "right"),
        ("bot", "left"),
        ("given up", "left"),
        ("kind", "left"),
        ("reason", "left"),
    ):
        table.add_column(title, justify="right" if side == "right" else "left", no_wrap=True)
    table.add_column("error", overflow="fold")
    for letter in letters:
        cells = (
            str(letter.id),
            letter.bot_id,
            _moment(letter.died_utc),
            letter.kind,
            letter.reason,
            letter.error,
        )
        table.add_row(*(Text(make_safe(cell)) for cell in cells))
    console.print(table, soft_wrap=not console.is_terminal)


def _moment(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
