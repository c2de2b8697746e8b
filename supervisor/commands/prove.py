"""``prove``: what the running master executes before it lets another version take its place.

Runs in: command line, a child of the master.
"""

import os
import sys

import typer

from brama.exit_codes import ExitCode


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(hidden=True)(prove)


def prove() -> int:
    """Read what a running master would leave, and say whether this version could take over."""
    from supervisor.fleet.linux import end_with_parent

    end_with_parent()  # first: one that is killed can end no trial, and what follows takes seconds
    import msgspec

    import supervisor.app  # noqa: F401 - all that a master is made of can be loaded
    from supervisor.commands.offline import installed_version
    from supervisor.handover import proving
    from supervisor.handover.records import decode_handover

    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # for whatever else is written meanwhile
        draft = decode_handover(sys.stdin.buffer.read())
        proof = proving.prove(draft, os.environ, installed_version())
        answer.write(msgspec.json.encode(proof))
    return ExitCode.OK
