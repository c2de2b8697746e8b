"""Finds who answers about jobs: the running master, or without one the files and the server themselves.

Runs in: command line.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import typer

from brama.config.substitution import Variables
from brama.errors import ConfigError, NoMasterError
from supervisor.commands.options import config_of
from supervisor.commands.project import Project, open_project
from supervisor.control.job_client import JobClient
from supervisor.control.job_wire import (
    CleanAnswer,
    JobLetter,
    JobLetterView,
    JobView,
    QueueView,
    TallyAnswer,
)


class JobDesk(Protocol):
    """Whoever carries out what an operator wants of jobs; methods are those of JobClient."""

    def queues(self) -> list[QueueView]: ...
    def letters(
        self, *, queue: str | None, name: str | None, cause: str | None, include_resolved: bool, limit: int
    ) -> Iterator[JobLetter]: ...
    def letter(self, letter_id: int) -> JobLetterView: ...
    def job(self, queue: str, job_id: str) -> JobView: ...
    def retry(self, letter_ids: Sequence[int]) -> TallyAnswer: ...
    def resolve(self, letter_ids: Sequence[int], note: str) -> TallyAnswer: ...
    def clean(self, older_than_s: float) -> CleanAnswer: ...
    def pause(self, queue: str) -> None: ...
    def resume(self, queue: str) -> None: ...


@contextmanager
def open_desk(context: typer.Context, config: Path | None, state_dir: Path | None) -> Iterator[JobDesk]:
    """Give who answers for a configuration, or for a state directory that has none.

    Raises:
        BramaError: nobody can; the text says what is missing.
    """
    if state_dir is not None:
        with _open_files(state_dir.absolute(), os.environ) as desk:
            yield desk
        return
    with open_project(config_of(context, config)) as project:
        if _is_master_in_charge(project):
            yield JobClient(project.client)
        else:
            with _open_files(project.state_dir, _server_variables(project)) as desk:
                yield desk


def _is_master_in_charge(project: Project) -> bool:
    """Return whether a master runs with jobs on: else workers may run on their own."""
    try:
        return project.client.status().jobs is not None
    except NoMasterError:
        if project.problem is not None:
            raise
        return False


@contextmanager
def _open_files(state_dir: Path, variables: Mapping[str, str]) -> Iterator[JobDesk]:
    from supervisor.commands.job_direct import open_direct  # BullMQ takes its time to load

    with open_direct(state_dir, variables) as desk:
        yield desk


def _server_variables(project: Project) -> Mapping[str, str]:
    """Return variables that name the server which a master of this configuration would use."""
    variables = project.variables
    if url := variables.get("BRAMA_REDIS__URL"):
        return {"REDIS_URL": url}
    if variables.get("REDIS_URL") or variables.get("REDIS_HOST"):
        return variables
    try:
        return {"REDIS_URL": Variables(variables, "the environment").expand(project.redis_url)}
    except ValueError as error:
        raise ConfigError(f"{project.config_path}: redis.url: {error}") from None
