"""Gives commands the project whose running master they ask.

Runs in: command line.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from brama.errors import NoMasterError
from supervisor.commands.options import config_of

if TYPE_CHECKING:
    from supervisor.commands.project import Project


@contextmanager
def master_of(context: typer.Context, config: Path | None) -> "Iterator[Project]":
    """Give the project whose master is asked; without one, say how to start it."""
    from supervisor.commands.advice import no_master
    from supervisor.commands.project import open_project

    with open_project(config_of(context, config)) as project:
        try:
            yield project
        except NoMasterError as error:
            raise no_master(project, error) from error
