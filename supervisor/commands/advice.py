"""Words that several commands say to a person who needs the next step.

Runs in: command line.
"""

import shlex
from pathlib import Path

from brama.errors import NoMasterError
from supervisor.commands.project import Project


def command_line(command: str, config_path: Path) -> str:
    """Return a command to paste into a shell anywhere."""
    return f"brama-supervisor {command} --config {shlex.quote(str(config_path))}"


def start_advice(project: Project) -> str:
    """Return how a master is started."""
    return f"start one: {command_line('start --daemon', project.config_path)}"


def no_master(project: Project, error: NoMasterError) -> NoMasterError:
    """Return ``error`` with the configuration it is about and the way out."""
    return NoMasterError(f"{error} for {project.config_path}; {start_advice(project)}")
