"""Collects everything that is wrong with a configuration, for one report.

A problem is one line: ``config/brama.yaml:12: bots[2].limits.memory: "15O MB" is not a size; write 150MB``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from brama.config.readers import EMPTY
from brama.errors import ConfigError

#: Where a setting stands: keys and list indexes from the top of the file.
Location = tuple[str | int, ...]

#: Anything shaped like a bot token that an operator put where it does not belong.
_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{20,}")
#: What would break a line or confuse a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Longest key that is shown whole, in characters.
_MAX_KEY = 60
#: Keys whose values are never shown, whatever is wrong with them.
SECRET_KEYS = frozenset(
    {"token", "secret", "url", "api_keys", "callback_key", "callback_secret", "openai_api_key"}
)


def is_secret(location: Location) -> bool:
    """Return whether the value at ``location`` must not be shown."""
    if len(location) > 2 and location[0] == "bots" and location[2] in {"env", "settings"}:
        return True
    return is_secret_key(location)


def is_secret_key(location: Location) -> bool:
    """Return whether a key of SECRET_KEYS, or an item of its list, stands at ``location``."""
    key = location[-2:-1] if location and isinstance(location[-1], int) else location[-1:]
    return not SECRET_KEYS.isdisjoint(key)


def spell(location: Location) -> str:
    """Return ``bots[2].limits.memory`` for ``("bots", 2, "limits", "memory")``."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if len(step) <= _MAX_KEY else f"{step[: _MAX_KEY - 3]}..."
            text += f".{key}" if text else key
    return text


@dataclass(slots=True)
class Report:
    """The problems found so far; ``name`` is the file as the operator would write its path."""

    name: str
    #: Line of each key, counted from 1.
    lines: Mapping[Location, int] = field(default_factory=dict)
    #: Name of the environment variable that set a key, where one did.
    variables: Mapping[Location, str] = field(default_factory=dict)
    #: Locations whose value could not be read at all: nothing more is said about them.
    broken: set[Location] = field(default_factory=set)
    #: What stands at locations where nothing but variables stands and all of them are empty.
    emptied: dict[Location, str] = field(default_factory=dict)
    _problems: dict[tuple[int, str], None] = field(default_factory=dict)

    def add(self, location: Location, text: str) -> None:
        """Note that the setting at ``location`` is wrong: ``text`` says how, and the way out."""
        if any(location[:depth] in self.broken for depth in range(1, len(location) + 1)):
            return
        if variable := self._variable_of(location):
            inside = "" if location in self.variables else f"{spell(location)} "
            self._note(0, f"environment: {variable}: {inside}{text}")
            return
        line = self._line_of(location)
        place = f"{self.name}:{line}" if line else self.name
        self._note(line, f"{place}: {spell(location)}: {text}" if location else f"{place}: {text}")

    def add_broken(self, location: Location, text: str) -> None:
        """Note a value that could not be read; later findings about the same key are its consequences."""
        self.add(location, text)
        self.broken.add(location)

    def empty_text(self, location: Location) -> str:
        """Return what to say of a setting that is empty and must not be."""
        if reference := self.emptied.get(location):
            return f"{reference} is empty; give the variable a value, or leave the key out"
        return EMPTY

    def add_elsewhere(self, place: Path | str, text: str) -> None:
        """Note a problem of another file than the configuration, such as a ``.env``."""
        self._note(0, f"{place}: {text}")

    def add_line(self, line: int, text: str) -> None:
        """Note a problem of line ``line`` (from 1) that belongs to no key."""
        self._note(line, f"{self.name}:{line}: {text}")

    def extend(self, findings: Iterable[tuple[Location, str]]) -> None:
        """Note each of ``findings``."""
        for location, text in findings:
            self.add(location, text)

    @property
    def texts(self) -> list[str]:
        """All problems, those of the file in its order after those of other places."""
        return [text for _, text in sorted(self._problems, key=lambda problem: problem[0])]

    def raise_if_any(self) -> None:
        """Raise what was noted.

        Raises:
            ConfigError: there is a problem; its text has one line for each.
        """
        if self._problems:
            raise ConfigError("\n".join(self.texts))

    def _note(self, line: int, text: str) -> None:
        self._problems[line, _TOKEN.sub("<token>", _CONTROL.sub(" ", text))] = None

    def _variable_of(self, location: Location) -> str | None:
        """Return the variable that set the key, or made its section where the file has none."""
        if variable := self.variables.get(location):
            return variable
        if location and location not in self.lines:
            depth = len(location)
            return next((name for key, name in self.variables.items() if key[:depth] == location), None)
        return None

    def _line_of(self, location: Location) -> int:
        """Return the line of the nearest key that is written in the file, 0 if there is none."""
        for depth in range(len(location), 0, -1):
            if line := self.lines.get(location[:depth]):
                return line
        return 0
