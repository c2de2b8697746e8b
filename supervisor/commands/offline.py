"""Commands that are about no configuration: ``version``, ``sandbox``, ``demo``.

Runs in: command line.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer

from brama.exit_codes import ExitCode

DISTRIBUTION = "brama-supervisor"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(sandbox)
    app.command()(demo)
    app.command("version")(version)


def version() -> int:
    """Print the version."""
    typer.echo(f"{DISTRIBUTION} {installed_version()}")
    return ExitCode.OK


def sandbox(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8081,
) -> None:
    """Run a local Bot API server with a chat page.

    For developing bots offline: point them at it with telegram.base_url: http://127.0.0.1:8081 in
    brama.yaml, open that address in a browser and write to them. Any token of the right shape will do.
    """
    _become("sandbox", "--port", str(port))


def demo(
    once: Annotated[bool, typer.Option("--once", help="Talk to the bots, show it, stop, end.")] = False,
) -> None:
    """Show it running: a sandbox, four bots and the supervisor.

    Everything lives in a temporary folder, and needs neither a token nor the network. Runs until Ctrl-C.
    """
    _become("sandbox.demo", *(["--once"] if once else []))


def installed_version() -> str:
    """Return the version of this installation."""
    from importlib.metadata import version as version_of

    return version_of(DISTRIBUTION)


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by ``python -m module``: signals and exit code need no relaying."""
    sys.stdout.flush()
    # -P: a folder named sandbox where the operator happens to be is not ours.
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])
