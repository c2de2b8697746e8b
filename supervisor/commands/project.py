"""Finds the project a command is about, without loading all of its configuration.

A command that only talks to a running master needs the state directory and nothing else: it must work from a
shell in which the bots' tokens are not set, and answer at once with 1000 bots in the file.

Runs in: command line.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from brama.config.dotenv import read_dotenv
from brama.config.finding import find_config, project_root_of
from brama.config.substitution import Variables
from brama.errors import BramaError, ConfigError
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: The folders of brama.yaml that matter here, with their defaults.
_FOLDERS: Mapping[str, str] = {"state_dir": "state", "logs_dir": "logs"}


@dataclass(frozen=True, slots=True)
class Project:
    """Where a configuration and what belongs to it are; all paths absolute."""

    config_path: Path
    state_dir: Path
    logs_dir: Path
    bots: tuple[str, ...]

    @property
    def client(self) -> ControlClient:
        """The way to this project's master."""
        return ControlClient(socket_path(self.state_dir))


@contextmanager
def open_project(config: Path | None) -> Iterator[Project]:
    """Give the project that ``--config``, BRAMA_CONFIG or the working directory names.

    Errors raised inside are noted with the configuration's path, so that whoever reads one knows whose it is.
    """
    project = locate(config, os.environ, Path.cwd())
    with naming_config(project.config_path):
        yield project


@contextmanager
def naming_config(path: Path) -> Iterator[None]:
    """Note the configuration's path on errors raised inside."""
    try:
        yield
    except BramaError as error:
        if str(path) not in str(error):
            error.add_note(f"configuration: {path}")
        raise


def locate(config: Path | None, environ: Mapping[str, str], cwd: Path) -> Project:
    """Return the project of a configuration; reads its top level, ``.env`` and the environment alone.

    Raises:
        ConfigError: there is no configuration, or its top level cannot be read.
    """
    path = find_config(config, environ, cwd)
    top, bots = _read_top_level(path)
    variables = {**_read_dotenv(path.parent / ".env"), **environ}
    root = project_root_of(path)
    folders = {}
    for key, default in _FOLDERS.items():
        text = variables.get(f"BRAMA_{key.upper()}") or top.get(key) or default
        try:
            expanded = Variables(variables, "the environment").expand(text)
        except ValueError as error:
            raise ConfigError(f"{path}: {key}: {error}") from None
        folders[key] = Path(os.path.normpath(root / os.path.expanduser(expanded)))
    return Project(path, folders["state_dir"], folders["logs_dir"], bots)


def _read_top_level(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the scalars of the file's outermost mapping, and the ids of its bots.

    Parser events are read one by one: building the values of 1000 bots takes five times as long.
    """
    scalars: dict[str, str] = {}
    bots: list[str] = []
    try:
        with path.open("rb") as file:
            for keys, value in _scalars(yaml.parse(file, Loader=_Loader)):
                match keys:
                    case (key,):
                        scalars[key] = value
                    case ("bots", "", "id"):
                        bots.append(value)
                    case _:
                        pass
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = str(error).splitlines()[0]
        raise ConfigError(f"{path}: is not YAML: {problem}; brama-supervisor check shows where") from None
    return scalars, tuple(bots)


def _scalars(events: Iterator[yaml.Event]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each value of a document that is a scalar, with the keys above it; an item's key is empty."""
    path: list[str] = []
    is_mapping: list[bool] = []
    expects_key: list[bool] = []

    def value_begins() -> bool:
        """Return whether the coming node is a value; a mapping's nodes alternate between key and value."""
        if not is_mapping or not is_mapping[-1]:
            return True
        expects_key[-1] = not expects_key[-1]
        return expects_key[-1]

    for event in events:
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                value_begins()
                is_mapping.append(isinstance(event, yaml.MappingStartEvent))
                expects_key.append(True)
                path.append("")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                is_mapping.pop()
                expects_key.pop()
                path.pop()
            case yaml.ScalarEvent():
                if value_begins():
                    yield tuple(path), event.value
                else:
                    path[-1] = event.value
            case yaml.AliasEvent():
                value_begins()


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return read_dotenv(path) if path.exists() else {}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
