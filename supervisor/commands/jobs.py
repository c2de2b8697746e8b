"""``jobs``: the queue without bots; its queues and what failed for good, to look at and to deal with.

Runs in: command line.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brama.config.values import parse_duration
from brama.errors import BramaError
from brama.exit_codes import ExitCode
from supervisor.commands.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from supervisor.commands.job_desk import JobDesk
    from supervisor.control.job_wire import TallyAnswer

#: Sets jobs.only.
ONLY_VARIABLE = "BRAMA_JOBS__ONLY"
DEFAULT_LIMIT = 50
DEFAULT_AGE = "7d"
#: Letters in one request; each takes a commit to disk.
BATCH = 100

StateDirOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        help="Of workers that run without a configuration; their server is that of REDIS_URL.",
        show_default=False,
    ),
]
QueueOption = Annotated[str | None, typer.Option("--queue", metavar="QUEUE", help="Only this queue's.")]
TypeOption = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only this type's.")]
CauseOption = Annotated[
    str | None, typer.Option("--cause", metavar="CAUSE", help="Only of this cause, as timeout.")
]
IdsArgument = Annotated[list[int] | None, typer.Argument(metavar="ID", min=1, max=10**18, hidden=True)]
QueuesArgument = Annotated[list[str] | None, typer.Argument(metavar="QUEUE", hidden=True)]
AllLettersOption = Annotated[
    bool, typer.Option("--all", help="All open ones, or those that --queue, --type and --cause leave.")
]
AllQueuesOption = Annotated[bool, typer.Option("--all", help="All queues that are known.")]


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    group = typer.Typer(
        help="Look at queues and at jobs that failed for good; retry them, pause queues.",
        no_args_is_help=True,
    )
    group.command("serve")(serve)
    group.command("list")(list_letters)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("resolve")(resolve)
    group.command("clean")(clean)
    group.command("queues")(queues)
    group.command("pause")(pause)
    group.command("resume")(resume)
    app.add_typer(group, name="jobs")


def serve(
    context: typer.Context,
    config: ConfigOption = None,
    daemon: Annotated[bool, typer.Option("--daemon", "-d", help="Run in the background.")] = False,
) -> int:
    """Run the queue, its workers and the LLM backend, and no bots.

    The same as start, with jobs.only: status, logs, stop, restart and reload work as with bots.

    \b
    Examples:
      brama-supervisor jobs serve
      ALLOWED_API_KEY=… BACKEND_URL=http://backend:5000 brama-supervisor jobs serve
    """
    from supervisor.commands.fleet import start

    os.environ[ONLY_VARIABLE] = "true"  # for the masters that follow in this process, too
    return start(context, None, config, daemon=daemon)


def list_letters(
    context: typer.Context,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    queue: QueueOption = None,
    name: TypeOption = None,
    cause: CauseOption = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Resolved ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> int:
    """List jobs that failed for good, youngest first, and why; never what they were asked to do.

    \b
    Examples:
      brama-supervisor jobs list
      brama-supervisor jobs list --queue reports --cause timeout
    """
    from supervisor.commands.job_desk import open_desk
    from supervisor.commands.job_tables import print_letters

    with open_desk(context, config, state_dir) as desk:
        found = list(
            desk.letters(queue=queue, name=name, cause=cause, include_resolved=resolved, limit=limit)
        )
    if as_json:
        _print_json(found)
    elif not found:
        typer.echo("no dead letters" + (f" of {queue}" if queue else ""))
    else:
        print_letters(found)
    return ExitCode.OK


def show(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="ID | QUEUE JOB")],
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show a dead letter by its id, or any job by its queue and id, with all that it holds.

    \b
    Examples:
      brama-supervisor jobs show 17
      brama-supervisor jobs show reports k3f6f2d0c41
    """
    from supervisor.commands.job_desk import open_desk
    from supervisor.commands.job_tables import print_job, print_letter

    if len(names) > 2 or (len(names) == 1 and not _is_id(names[0])):
        raise typer.BadParameter("name a dead letter by its ID, or a job by QUEUE and JOB", param_hint="ID")
    with open_desk(context, config, state_dir) as desk:
        if len(names) == 2:
            job = desk.job(*names)
            _print_json(job) if as_json else print_job(job)
        else:
            letter = desk.letter(int(names[0]))
            _print_json(letter) if as_json else print_letter(letter)
    return ExitCode.OK


def retry(
    context: typer.Context,
    ids: IdsArgument = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    queue: QueueOption = None,
    name: TypeOption = None,
    cause: CauseOption = None,
    everything: AllLettersOption = False,
) -> int:
    """Have jobs begin again with all their attempts.

    \b
    Examples:
      brama-supervisor jobs retry 17 18
      brama-supervisor jobs retry --all --queue reports --cause timeout
    """
    from supervisor.commands.job_desk import open_desk

    _check_choice(ids, everything, queue or name or cause)
    with open_desk(context, config, state_dir) as desk:
        chosen = ids or _all_open(desk, queue, name, cause)
        return _in_batches(chosen, desk.retry, "retried")


def resolve(
    context: typer.Context,
    note: Annotated[str, typer.Option("--note", "-m", metavar="TEXT", help="What was done about it.")],
    ids: IdsArgument = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    queue: QueueOption = None,
    name: TypeOption = None,
    cause: CauseOption = None,
    everything: AllLettersOption = False,
) -> int:
    """Close dead letters with a note; their jobs stay as they are.

    \b
    Examples:
      brama-supervisor jobs resolve 17 --note "sent by hand"
    """
    from supervisor.commands.job_desk import open_desk

    _check_choice(ids, everything, queue or name or cause)
    if not note.strip():
        raise typer.BadParameter("say what was done", param_hint="--note")
    with open_desk(context, config, state_dir) as desk:
        chosen = ids or _all_open(desk, queue, name, cause)
        return _in_batches(chosen, lambda some: desk.resolve(some, note.strip()), "resolved")


def clean(
    context: typer.Context,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Resolved before so long.")
    ] = DEFAULT_AGE,
) -> int:
    """Forget letters that were resolved long ago, and their failed jobs; open ones stay.

    \b
    Examples:
      brama-supervisor jobs clean --older-than 2d
    """
    from supervisor.commands.job_desk import open_desk

    try:
        older_than_s = parse_duration(older_than)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from None
    count, more = 0, True
    with open_desk(context, config, state_dir) as desk:
        while more:
            answer = desk.clean(older_than_s)
            count, more = count + answer.count, answer.more
    typer.echo(f"cleaned {count}")
    return ExitCode.OK


def queues(
    context: typer.Context,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show every queue: how many jobs it has in which state, and whether it is paused."""
    from supervisor.commands.job_desk import open_desk
    from supervisor.commands.job_tables import print_queues

    with open_desk(context, config, state_dir) as desk:
        found = desk.queues()
    if as_json:
        _print_json(found)
    elif not found:
        typer.echo("no queues")
    else:
        print_queues(found)
    return ExitCode.OK


def pause(
    context: typer.Context,
    names: QueuesArgument = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    everything: AllQueuesOption = False,
) -> int:
    """Have no worker take jobs of these queues; what runs goes on, what comes waits.

    \b
    Examples:
      brama-supervisor jobs pause reports
    """
    return _switch(context, config, state_dir, names, everything, is_paused=True)


def resume(
    context: typer.Context,
    names: QueuesArgument = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
    everything: AllQueuesOption = False,
) -> int:
    """Undo pause."""
    return _switch(context, config, state_dir, names, everything, is_paused=False)


def _switch(
    context: typer.Context,
    config: Path | None,
    state_dir: Path | None,
    names: list[str] | None,
    everything: bool,
    *,
    is_paused: bool,
) -> int:
    from supervisor.commands.job_desk import open_desk

    if bool(names) == everything:
        raise typer.BadParameter("name queues, or all by --all", param_hint="QUEUE")
    with open_desk(context, config, state_dir) as desk:
        for name in names or [each.name for each in desk.queues()]:
            (desk.pause if is_paused else desk.resume)(name)
            typer.echo(f"{name}: {'paused' if is_paused else 'resumed'}")
    return ExitCode.OK


def _check_choice(ids: list[int] | None, everything: bool, narrowed: str | None) -> None:
    if bool(ids) == everything or (ids and narrowed):
        raise typer.BadParameter(
            "name dead letters by ID, or --all, with --queue, --type or --cause to choose by", param_hint="ID"
        )


def _all_open(desk: "JobDesk", queue: str | None, name: str | None, cause: str | None) -> list[int]:
    found = desk.letters(queue=queue, name=name, cause=cause, include_resolved=False, limit=sys.maxsize)
    return [letter.id for letter in found]


def _in_batches(ids: list[int], step: Callable[[list[int]], "TallyAnswer"], done: str) -> int:
    """Do it, the oldest letter first; say how far it came even if it fails on the way."""
    from supervisor.commands.logs import make_safe

    ids = sorted(set(ids))
    count, is_whole = 0, True
    try:
        for start in range(0, len(ids), BATCH):
            tally = step(ids[start : start + BATCH])
            count += tally.count
            for problem in tally.problems:
                sys.stderr.write(f"brama-supervisor: {make_safe(problem)}\n")
                is_whole = False
    except BramaError as error:
        if count:
            error.add_note(f"{done} {count} of {len(ids)}")
        raise
    typer.echo(f"{done} {count}")
    return ExitCode.OK if is_whole else ExitCode.FAILED


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _print_json(value: Any) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
