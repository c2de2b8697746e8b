"""The command line: ``brama-supervisor``.

Commands live in ``supervisor/commands``, a file for each group; what they need to run is imported when they
run, so that ``status`` and completion answer at once. A command returns its exit code, or raises.

Runs in: command line.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from brama.errors import BramaError
from brama.exit_codes import ExitCode
from supervisor.commands import (
    check,
    dead_letters,
    fleet,
    jobs,
    logs,
    offline,
    orphans,
    prove,
    reload,
    status,
)
from supervisor.commands.failures import INTERRUPTED, say_failure
from supervisor.commands.options import ConfigOption, Defaults

NAME = "brama-supervisor"

app = typer.Typer(
    name=NAME,
    help="Runs a fleet of Telegram bots: every bot in its own process, no update lost.",
    epilog="Exit codes: 0 done; 1 failed, or a wanted bot is not up; 3 status found no master; 64 usage; "
    "69 no master to talk to; 78 configuration.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
fleet.add_to(app)
reload.add_to(app)
status.add_to(app)
logs.add_to(app)
check.add_to(app)
dead_letters.add_to(app)
jobs.add_to(app)
orphans.add_to(app)
offline.add_to(app)
prove.add_to(app)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    config: ConfigOption = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> int:
    context.obj = Defaults(config=config)
    if context.invoked_subcommand is not None:
        return ExitCode.OK
    if version:
        return offline.version()
    typer.echo(context.get_help())
    return ExitCode.USAGE


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    code = run()
    with contextlib.suppress(OSError):  # whoever read our output has gone, and wants no more of it
        sys.stdout.flush()
        sys.exit(code)
    # The interpreter would try to flush again at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line, ``sys.argv`` by default; return its exit code."""
    try:
        result = app(arguments, prog_name=NAME, standalone_mode=False)
        return int(result or 0)
    except BramaError as error:
        return say_failure(error)
    except typer.TyperException as error:
        return _answer_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED


def _answer_usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else NAME
    # A group of commands without one of them has shown its help, and there is nothing to add.
    if text := error.format_message().rstrip(".").replace("\n", " "):
        sys.stderr.write(f"{command}: {text}; see {command} --help\n")
    return ExitCode.USAGE if error.exit_code == 2 else ExitCode.FAILED
