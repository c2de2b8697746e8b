"""Turns YAML into plain Python values without guessing.

YAML 1.1 (which PyYAML reads) and 1.2 disagree about ``on``, ``012``, ``12:34``, ``1e3``: such a value is an
error that asks for quotes, never a silent surprise. Duplicate keys are errors. The line of every key is kept.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from brama.config.report import Location, Report, is_secret, is_secret_key, spell
from brama.config.substitution import MissingVariableError, Variables
from brama.errors import ConfigError

#: The C parser where PyYAML was built with it: 1000 bots read eight times faster.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]*")
#: What YAML 1.2 takes for a number and 1.1 for text.
_NUMBER_IN_1_2 = re.compile(
    r"0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
)
_TAG = "tag:yaml.org,2002:"
#: More values than the largest fleet needs: an alias that multiplies itself.
_MAX_VALUES = 1_000_000
#: More levels than any setting needs.
_MAX_DEPTH = 50
#: Levels on which the C parser may overflow its stack.
_MAX_BRACKETS = 1000
_BRACKET = re.compile(r"[\[\]{}]")
_BOTTOMLESS_LIST = re.compile(r"(?:[-?]\s+){1000}")


class _UnreadableError(Exception):
    """The value was reported and takes no part in what follows."""


@dataclass(slots=True)
class TreeBuilder:
    """Builds the values of one document; what is wrong goes to ``report``, and the key is left out."""

    report: Report
    variables: Variables
    lines: dict[Location, int] = field(default_factory=dict)
    #: Locations of secrets that stand in the file itself and not in a variable.
    literal_secrets: list[Location] = field(default_factory=list)
    _values: int = 0
    _merge_depth: int = 0
    _disabled: set[int | str] = field(default_factory=set)

    def build(self, text: str) -> dict[str, Any]:
        """Return the mapping that ``text`` holds.

        Raises:
            ConfigError: the text is no YAML, or no mapping.
        """
        if _is_bottomless(text):
            raise ConfigError(f"{self.report.name}: is nested too deeply")
        try:
            root = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{self.report.name}:{mark.line + 1}" if mark else self.report.name
            clauses = ", ".join(clause for clause in (error.context, error.problem) if clause)
            raise ConfigError(f"{place}: is not YAML: {clauses}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{self.report.name}: is not YAML: {str(error).splitlines()[0]}") from None
        except RecursionError:
            raise ConfigError(f"{self.report.name}: is nested too deeply") from None
        if root is None:
            raise ConfigError(f"{self.report.name}: is empty; write for example: bots: []")
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"{self.report.name}: must be a mapping of keys such as mode: and bots:")
        self.report.lines = self.lines
        try:
            return self._mapping(root, ())
        except _UnreadableError:
            return {}

    def _value(self, node: yaml.Node, location: Location) -> Any:
        self._values += 1
        if len(location) > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise self._refused(node, location, "is nested too deeply or refers to itself")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, location)
            case yaml.SequenceNode() if node.tag == _TAG + "seq":
                return self._sequence(node, location)
            case yaml.ScalarNode():
                return self._scalar(node, location)
        raise self._refused(node, location, f"the tag {node.tag} is not known here; remove it")

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        if node.tag != _TAG + "map":
            raise self._refused(node, location, f"the tag {node.tag} is not known here; remove it")
        mapping: dict[str, Any] = {}
        first_seen: dict[str, int] = {}
        merged: list[yaml.Node] = []
        if len(location) == 2 and location[0] == "bots":
            self._note_disabled(node, location)
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = self._key(key_node, location)
            if key is None:
                continue
            place = (*location, key)
            if key in first_seen:
                self.report.add_line(
                    line, f"{spell(place)}: is written twice, first in line {first_seen[key]}; keep one"
                )
                continue
            first_seen[key] = line
            if not location and key.startswith("x-"):
                continue  # a place for anchors; nothing reads it
            self.lines[place] = line
            try:
                mapping[key] = self._value(value_node, place)
            except _UnreadableError:
                continue
        for base in merged:
            self._merge(base, location, mapping, first_seen)
        return mapping

    def _note_disabled(self, bot: yaml.MappingNode, location: Location) -> None:
        """Remember a bot with ``enabled: false``: the variables it names need not be set."""
        for key, value in bot.value:
            if key.value == "enabled" and isinstance(value, yaml.ScalarNode):
                try:
                    text = self.variables.expand(str(value.value))
                except ValueError:
                    continue
                if text.lower() == "false":
                    self._disabled.add(location[1])

    def _is_disabled(self, location: Location) -> bool:
        return len(location) > 2 and location[0] == "bots" and location[1] in self._disabled

    def _merge(
        self, base: yaml.Node, location: Location, mapping: dict[str, Any], own: dict[str, int]
    ) -> None:
        """Take from ``base`` (a ``<<`` key) what ``mapping`` does not say itself."""
        if not isinstance(base, yaml.MappingNode):
            raise self._refused(base, location, "<< takes a mapping")
        if self._merge_depth > _MAX_DEPTH:
            raise self._refused(base, location, "<< refers to itself")
        rest = [(key, value) for key, value in base.value if getattr(key, "value", None) not in own]
        self._merge_depth += 1
        try:
            part = self._mapping(yaml.MappingNode(_TAG + "map", rest, base.start_mark), location)
        finally:
            self._merge_depth -= 1
        for key, value in part.items():
            mapping.setdefault(key, value)
            own.setdefault(key, base.start_mark.line + 1)

    def _key(self, node: yaml.Node, location: Location) -> str | None:
        """Return the text of a key, or None after reporting that it is none."""
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            self.report.add_line(line, "a key must be text, not a list or mapping")
            return None
        text = str(node.value)
        if node.tag != _TAG + "str" and not _is_verbatim((*location, text)):
            self.report.add_line(line, f'the key {text} is not text to YAML; write it in quotes: "{text}"')
            return None
        return text

    def _sequence(self, node: yaml.SequenceNode, location: Location) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            place = (*location, index)
            self.lines[place] = item.start_mark.line + 1
            try:
                items.append(self._value(item, place))
            except _UnreadableError:
                items.append(None)
        return items

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        text = str(node.value)
        if "${" in text:
            try:
                expanded = self.variables.expand(text)
                if not expanded.strip():
                    self.report.emptied[location] = text
                return expanded
            except MissingVariableError as error:
                if self._is_disabled(location):
                    raise _UnreadableError from None
                raise self._refused(node, location, str(error)) from None
            except ValueError as error:
                raise self._refused(node, location, str(error)) from None
        if text and is_secret_key(location) and not _is_plain_address(location, text):
            self.literal_secrets.append(location)
        is_quoted = bool(node.style)  # plain is None to the Python parser, empty to the C one
        if is_quoted or (_is_verbatim(location) and node.tag != _TAG + "null"):
            return text
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool" if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case "int" if _INT.fullmatch(text):
                return int(text)
            case "float" if _FLOAT.fullmatch(text):
                return float(text)
            case "timestamp":
                return text
            case "str" if not _NUMBER_IN_1_2.fullmatch(text):
                return text
        shown = "this value" if is_secret(location) else text
        if node.tag == _TAG + "bool":
            meant = "true" if text.lower() in {"yes", "on"} else "false"
            raise self._refused(
                node, location, f'{text} is not plain; write {meant}, or "{text}" if text is meant'
            )
        hint = "put it in quotes" if shown is not text else f'write "{text}" in quotes'
        raise self._refused(node, location, f"{shown} without quotes is read in different ways; {hint}")

    def _refused(self, node: yaml.Node, location: Location, text: str) -> _UnreadableError:
        """Report ``text`` about a value and return what to raise, so that its key is left out."""
        self.lines.setdefault(location, node.start_mark.line + 1)
        self.report.add_broken(location, text)
        return _UnreadableError()


def _is_bottomless(text: str) -> bool:
    """Return whether ``text`` nests so deeply that a recursive parser of it crashes the process."""
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > _MAX_BRACKETS:
            return True
    return _BOTTOMLESS_LIST.search(text) is not None


def _is_verbatim(location: Location) -> bool:
    """Return whether scalars at ``location`` are text as written.

    They are in a bot's environment and arguments, and where ``off`` is a choice.
    """
    if location == ("webhook", "networks"):
        return True
    return len(location) == 4 and location[0] == "bots" and location[2] in {"env", "args"}


def _is_plain_address(location: Location, text: str) -> bool:
    """Return whether ``text`` stands where a key may stand, and has no place for one."""
    if location == ("redis", "url"):
        return "@" not in text
    return location == ("bots_source", "url") and "?" not in text
