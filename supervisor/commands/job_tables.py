"""Prints queues, dead letters and jobs.

Runs in: command line.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import StringIO

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from supervisor.commands.logs import make_safe
from supervisor.control.job_wire import JobLetter, JobLetterView, JobView, QueueView
from supervisor.control.policy.words import spell_count

#: Wider than any error.
_WIDTH_OF_FILES = 100_000
_NUMBERS = ("waiting", "active", "delayed", "completed", "failed", "dead_letters", "outbox")


def print_letters(letters: Sequence[JobLetter]) -> None:
    """Print one line for each letter."""
    has_notes = any(letter.resolved_utc is not None for letter in letters)
    titles = ["id", "queue", "type", "job", "gave up", "cause", "attempts"]
    rows = [
        [
            str(letter.id),
            letter.queue,
            letter.type,
            letter.job_id,
            _moment(letter.died_utc),
            letter.cause,
            str(letter.attempts),
            *([letter.note or "-"] if has_notes else []),
            letter.error,
        ]
        for letter in letters
    ]
    _print_table([*titles, *(["resolved"] if has_notes else []), "error"], rows, {"id", "attempts"})


def print_queues(queues: Sequence[QueueView]) -> None:
    """Print one line for each queue."""
    rows = [
        [
            queue.name,
            *(spell_count(getattr(queue, name)) for name in _NUMBERS),
            "paused" if queue.paused else "",
        ]
        for queue in queues
    ]
    titles = [name.replace("_", " ") for name in _NUMBERS]
    _print_table(["queue", *titles, ""], rows, set(titles))


def print_letter(view: JobLetterView) -> None:
    """Print all that is known of a letter."""
    letter = view.letter
    _print_fields(
        (
            ("id", letter.id),
            ("queue", letter.queue),
            ("type", letter.type),
            ("job", letter.job_id),
            ("cause", letter.cause),
            ("error", letter.error),
            ("attempts", letter.attempts),
            ("accepted", _moment(letter.created_utc)),
            ("gave up", _moment(letter.died_utc)),
            ("resolved", "" if letter.resolved_utc is None else _moment(letter.resolved_utc)),
            ("note", letter.note),
        )
    )
    _print_blocks((("stack", view.stack), ("payload", _readable(view.payload))))


def print_job(job: JobView) -> None:
    """Print all that is known of a job."""
    _print_fields(
        (
            ("queue", job.queue),
            ("job", job.id),
            ("type", job.type),
            ("state", job.state),
            ("attempts", job.attempts),
            ("error", job.error),
            ("accepted", _moment(job.created_utc)),
            ("ended", "" if job.finished_utc is None else _moment(job.finished_utc)),
            ("progress", json.dumps(_value(job.progress))),
        )
    )
    result = _readable(job.result) if job.state == "completed" else ""
    _print_blocks((("stack", job.stack), ("result", result), ("payload", _readable(job.payload))))


def _print_fields(fields: Iterable[tuple[str, object]]) -> None:
    for name, value in fields:
        if value != "":
            typer.echo(f"{name:<9} {make_safe(str(value))}")


def _print_blocks(blocks: Iterable[tuple[str, str]]) -> None:
    for title, text in blocks:
        if text:
            lines = "\n".join(make_safe(line) for line in text.rstrip().split("\n"))
            typer.echo(f"\n{title}\n{lines}")


def _print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[str]) -> None:
    """Print a table; on a terminal its last column is folded, elsewhere every row keeps to one line."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles[:-1]:
        table.add_column(title, justify="right" if title in numbers else "left", no_wrap=True)
    table.add_column(titles[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(make_safe(cell)) for cell in row))
    if console.is_terminal:
        console.print(table)
        return
    wide = Console(file=StringIO(), width=_WIDTH_OF_FILES, color_system=None, highlight=False)
    with wide.capture() as captured:
        wide.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def _value(raw: msgspec.Raw | msgspec.UnsetType) -> object:
    return None if raw is msgspec.UNSET else json.loads(bytes(raw))


def _readable(raw: msgspec.Raw | msgspec.UnsetType) -> str:
    return json.dumps(_value(raw), indent=2)


def _moment(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
