"""Options and arguments that several commands share.

Runs in: command line.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from brama.errors import BramaError


@dataclass(frozen=True, slots=True)
class Defaults:
    """What was given before the command's name."""

    config: Path | None = None


def config_of(context: typer.Context, own: Path | None) -> Path | None:
    """Return the ``--config`` given to the command, else the one before its name."""
    root = context.find_root().obj
    return own or (root.config if isinstance(root, Defaults) else None)


def complete_bots(context: typer.Context, incomplete: str) -> list[str]:
    """Return the configured bots for the shell; nothing where there is no readable configuration."""
    from supervisor.commands.project import open_project

    try:
        with open_project(config_of(context, context.params.get("config"))) as project:
            return [bot for bot in project.bots if bot.startswith(incomplete)]
    except (BramaError, OSError):
        return []


def complete_log_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return what ``logs`` can show."""
    return [name for name in ("master", *complete_bots(context, incomplete)) if name.startswith(incomplete)]


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration. Default: BRAMA_CONFIG, else config/brama.yaml or brama.yaml, here or above.",
        show_default=False,
    ),
]
BotsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="BOT", autocompletion=complete_bots, hidden=True),
]
BotOption = Annotated[
    str | None,
    typer.Option("--bot", metavar="BOT", help="Only this bot's.", autocompletion=complete_bots),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
