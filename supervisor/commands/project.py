"""Finds the project a command is about, without loading all of its configuration.

A command that only talks to a running master needs the state directory and nothing else: it must work from a
shell in which the bots' tokens are not set, and answer at once with 1000 bots in the file.

Runs in: command line.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from brama.config.dotenv import DotenvError, read_dotenv
from brama.config.finding import find_config, project_root_of
from brama.config.substitution import Variables
from brama.errors import BramaError, ConfigError, NoMasterError, UnreachableError
from supervisor.control.client import ControlClient
from supervisor.control.socket_path import socket_path

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: The folders of brama.yaml that matter here, with their defaults.
_FOLDERS: Mapping[str, str] = {"state_dir": "state", "logs_dir": "logs"}
_FOLDER_LINE = re.compile(rb"^(?:state_dir|logs_dir):[^\n]*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Project:
    """Where a configuration and what belongs to it are; all paths absolute."""

    config_path: Path
    state_dir: Path
    logs_dir: Path
    bots: tuple[str, ...]
    #: ``redis.url`` as the file has it, and what it may refer to; both may be secret.
    redis_url: str = field(default="", repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Why the file is not YAML, with its path and line; folders and bots are those made out anyway.
    problem: str | None = None

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
        if project.problem is None:
            yield project
        else:
            with _despite(project, project.problem):
                yield project


@contextmanager
def _despite(project: Project, problem: str) -> Iterator[None]:
    """Let a command reach the master of a file that is not YAML; where none answers, the file is the error.

    Raises:
        ConfigError: the folder that could be made out has no master, or one of another file.
    """
    try:
        if (found := _config_of_master(project)) not in {None, str(project.config_path)}:
            raise ConfigError(
                f"{problem}; mend the file: the master in {project.state_dir} is that of {found} "
                "and was left alone"
            )
        yield
    except NoMasterError:
        raise ConfigError(f"{problem}; {_way_out(project.state_dir)}") from None
    except ConfigError:
        raise
    except BramaError as error:
        error.add_note(problem)
        raise


def _config_of_master(project: Project) -> str | None:
    """Return the configuration of the master that answers, None if none does: ``logs`` needs none."""
    try:
        return project.client.status().master.config
    except (NoMasterError, UnreachableError):
        return None


def _way_out(state_dir: Path) -> str:
    """Return what to do where no master answers and the file does not say for sure where one would."""
    lock = state_dir / "brama.lock"
    try:
        pid = int(lock.read_text(encoding="ascii"))
        os.kill(pid, 0)
    except PermissionError:
        return f"mend the file; a master that still runs is ended by kill -TERM and the pid in {lock}"
    except (OSError, ValueError, OverflowError):
        return f"mend the file; no master was found in {state_dir}"
    return f"mend the file, or end the master that {lock} names: kill -TERM {pid}"


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
        ConfigError: there is no configuration, or it cannot be read. A file that is not YAML is no error
            here: a fleet that runs by what it said before can still be commanded.
    """
    path = find_config(config, environ, cwd)
    top, bots, problem = _read_top_level(path)
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
    return Project(
        path,
        folders["state_dir"],
        folders["logs_dir"],
        bots,
        redis_url=top.get("redis.url", ""),
        variables=variables,
        problem=problem,
    )


def _read_top_level(path: Path) -> tuple[dict[str, str], tuple[str, ...], str | None]:
    """Return the scalars of the file's outermost mapping, the ids of its bots, and why it is not YAML.

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
                    case ("redis", "url"):
                        scalars["redis.url"] = value
                    case ("bots", "", "id"):
                        bots.append(value)
                    case _:
                        pass
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return scalars | _scan_folders(path), tuple(bots), _problem_of(path, error)
    return scalars, tuple(bots), None


def _problem_of(path: Path, error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """Return where and why the file is not YAML."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        clauses = ", ".join(clause for clause in (error.context, error.problem) if clause)
        return f"{path}:{mark.line + 1}: is not YAML: {clauses}"
    return f"{path}: is not YAML: {str(error).splitlines()[0]}"


def _scan_folders(path: Path) -> dict[str, str]:
    """Return the folders of a file that is not YAML, each from the line that names it alone."""
    folders: dict[str, str] = {}
    for line in _FOLDER_LINE.findall(path.read_bytes()):
        try:
            found = yaml.load(line, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        folders |= {key: value for key, value in found.items() if isinstance(value, str)}
    return folders


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
    except DotenvError as error:
        return error.variables  # its wrong lines keep nobody from a running fleet
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
