"""``logs``: the master's log, or a bot's own output; no master needs to run.

Runs in: command line.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brama.errors import BramaError
from brama.exit_codes import ExitCode
from supervisor.commands.options import ConfigOption, complete_log_names, config_of

if TYPE_CHECKING:
    from supervisor.commands.project import Project
    from supervisor.commands.tail import Tail

MASTER = "master"
DEFAULT_LINES = 50
#: What a line may do to a terminal: colours and tabs. Bots print what strangers write to them.
_UNSAFE = re.compile(r"(\x1b\[[0-9;]*m|\t)|[\x00-\x1f\x7f-\x9f]")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(logs)


def logs(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="master|BOT", autocompletion=complete_log_names, hidden=True),
    ] = MASTER,
    config: ConfigOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="Last lines shown first.")
    ] = DEFAULT_LINES,
) -> int:
    """Show the master's log, or what a bot printed.

    On a terminal the master's events are words, elsewhere the lines of JSON that the file holds. No master
    needs to run. -f follows the file over its rotation.

    \b
    Examples:
      brama-supervisor logs
      brama-supervisor logs shop -f
      brama-supervisor logs master -n 1000 | jq .event
    """
    from supervisor.commands.project import open_project
    from supervisor.commands.tail import Tail

    with open_project(config_of(context, config)) as project:
        path = log_path(project, name)
        tail = Tail(path, lines)
        write = _writer(name)
        for line in _read_end(tail, path, name, may_be_missing=follow):
            write(line)
        if not follow and (rest := tail.read_rest()):
            write(rest)
        sys.stdout.flush()
        if follow:
            for line in tail.follow():
                write(line)
                sys.stdout.flush()
        tail.close()
    return ExitCode.OK


def log_path(project: "Project", name: str) -> Path:
    """Return the log that ``name`` means. Raises BramaError if there is no such bot, nor ever was."""
    from supervisor.control.policy.names import unknown_names

    if name == MASTER:
        return project.logs_dir / "master.log"
    known = set(project.bots)
    # Logs of bots that left the configuration can still be read.
    known.update(path.name[len("worker_") : -len(".log")] for path in project.logs_dir.glob("worker_*.log"))
    if problem := unknown_names([name], known):
        raise BramaError(problem)
    return project.logs_dir / f"worker_{name}.log"


def _read_end(tail: "Tail", path: Path, name: str, *, may_be_missing: bool) -> list[bytes]:
    try:
        return tail.read_end()
    except FileNotFoundError:
        said = missing_log(path, name)
        if not may_be_missing:
            raise BramaError(said) from None
        sys.stderr.write(f"{said}; waiting for it\n")
        return []
    except OSError as error:
        raise BramaError(f"{path}: cannot be read: {error.strerror}") from error


def missing_log(path: Path, name: str) -> str:
    """Return that the log of ``name`` is not at ``path``, and what may have led to that."""
    who = "no master has run" if name == MASTER else f"{name} has not run"
    return f"{path} is not there: {who} with this logs_dir, or the file was moved"


def _writer(name: str) -> Callable[[bytes], None]:
    """Return what puts one line on standard output."""
    if not sys.stdout.isatty():
        raw = sys.stdout.buffer
        return lambda line: _write_raw(raw.write, line)
    make_readable = readable_event if name == MASTER else (lambda text: text)
    return lambda line: _write_text(make_safe(make_readable(line.decode(errors="replace"))))


def _write_raw(write: Callable[[bytes], object], line: bytes) -> None:
    write(line + b"\n")


def _write_text(text: str) -> None:
    sys.stdout.write(text + "\n")


def readable_event(line: str) -> str:
    """Return a line of JSON in words; any other line as it is."""
    from brama.log import render_readable

    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict):
        return line
    return render_readable(event)


def make_safe(text: str) -> str:
    """Return ``text`` with control characters spelt out, so that it moves no cursor and sets no title."""
    return _UNSAFE.sub(lambda found: found[1] or f"\\x{ord(found[0]):02x}", text)
