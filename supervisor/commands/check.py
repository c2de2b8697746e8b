"""``check``: reads the configuration as ``start`` would, and starts nothing.

Runs in: command line.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from brama.exit_codes import ExitCode
from supervisor.commands.options import ConfigOption, config_of

if TYPE_CHECKING:
    from brama.config.settings import BotSettings, Settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(check)


def check(context: typer.Context, config: ConfigOption = None) -> int:
    """Say everything that is wrong with the configuration.

    Starts nothing. Exits with 0 if start would accept it, 78 if not.
    """
    return check_configuration(config_of(context, config))


def check_configuration(config: Path | None) -> int:
    """Print problems to stderr, else warnings and a summary. Raises ConfigError with all problems."""
    from brama.config.checks import warnings
    from brama.config.webhook_address import public_address
    from supervisor.control.policy.words import plural

    settings = load(config)
    if settings.jobs.enabled:
        from supervisor.job_queue.backend import backend_terms

        backend_terms(settings)
    warned = warnings(settings)
    for warning in warned:
        sys.stderr.write(f"warning: {warning}\n")
    said = f", {plural(len(warned), 'warning')}" if warned else ""
    typer.echo(f"{settings.config_path}: fine{said}")
    address = f"{settings.api.host}:{settings.api.port}"
    typer.echo(f"  state in {settings.state_dir}, logs in {settings.logs_dir}, API on {address}")
    if (webhook := settings.webhook).host is not None and any(bot.mode == "webhook" for bot in settings.bots):
        typer.echo(f"  webhooks at {public_address(webhook.host)}/webhook/BOT, server on port {webhook.port}")
    if settings.bots_source.url is not None:
        typer.echo("  bots of bots_source come beside these, once the supervisor has asked for them")
    typer.echo(f"  {plural(len(settings.bots), 'bot')}{':' if settings.bots else ''}")
    width = max((len(bot.id) for bot in settings.bots), default=0)
    for bot in settings.bots:
        typer.echo(f"    {bot.id:<{width}}  {_describe(bot, settings)}")
    return ExitCode.OK


def load(config: Path | None) -> "Settings":
    """Return the settings that ``--config``, BRAMA_CONFIG or the working directory names."""
    from brama.config.finding import find_config
    from brama.config.loading import load_settings

    return load_settings(find_config(config, os.environ, Path.cwd()), os.environ)


def _describe(bot: "BotSettings", settings: "Settings") -> str:
    entry = bot.entry
    if bot.script is not None and bot.script.is_relative_to(settings.project_root):
        entry = str(bot.script.relative_to(settings.project_root))
    words = [entry or "(no entry point)", *bot.args]
    if bot.mode == "webhook":
        words.append("(webhook)")
    if not bot.enabled:
        words.append("(disabled)")
    return " ".join(words)
