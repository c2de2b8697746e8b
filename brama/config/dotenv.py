"""Reads files of ``NAME=value`` lines: the ``.env`` beside a configuration, a bot's ``env_file``.

The common subset of shells, docker and python-dotenv: ``#`` comments, an optional ``export``, single quotes
(taken as they are), double quotes (with ``\\n``, ``\\t``, ``\\"``, ``\\\\``; may span lines), bare values (a
comment starts at a blank and ``#``). Nothing is substituted in values.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from brama.errors import ConfigError

#: Larger than any file of settings: whatever this is, it is not one.
MAX_BYTES = 1024 * 1024

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_BARE_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class DotenvError(ConfigError):
    """Some lines are wrong: ``faults`` has one text for each, ``variables`` what the others set."""

    def __init__(self, faults: Sequence[str], variables: Mapping[str, str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
        self.variables = dict(variables)


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of the file at ``path``; the last of equal names counts.

    Raises:
        DotenvError: a line is none of the above.
        ConfigError: it cannot be read. The texts of both are without the file's name and without any value.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"is larger than {MAX_BYTES} bytes; write NAME=value lines")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"byte {error.start} is not UTF-8") from None
    return parse_dotenv(text)


def parse_dotenv(text: str) -> dict[str, str]:
    """Return the variables of ``text``.

    Raises:
        DotenvError: a line is no assignment; each fault is ``line N ...``. The other lines count.
    """
    text = text.replace("\r\n", "\n")
    variables: dict[str, str] = {}
    faults: list[str] = []
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        line = text.count("\n", 0, position) + 1
        assignment = _ASSIGNMENT.match(text, position)
        if not assignment:
            faults.append(f"line {line} is not NAME=value")
            position = _next_line(text, position)
            continue
        value, position = _read_value(text, assignment.end())
        if value is None:
            faults.append(f"line {line}: a quote without its end, or text after it")
        elif "\0" in value:
            faults.append(f"line {line}: the value of {assignment[1]} holds a NUL character")
        else:
            variables[assignment[1]] = value
    if faults:
        raise DotenvError(faults, variables)
    return variables


def _next_line(text: str, position: int) -> int:
    """Return where the line after the one at ``position`` starts."""
    return (text.find("\n", position) + 1) or len(text)


def _read_value(text: str, start: int) -> tuple[str | None, int]:
    """Return the value that starts at ``start``, None for wrong quotes, and where the next line does."""
    if text.startswith(("'", '"'), start):
        pattern = _SINGLE if text[start] == "'" else _DOUBLE
        quoted = pattern.match(text, start)
        rest = quoted and _BLANK.match(text, quoted.end())
        if not quoted or not rest:
            return None, _next_line(text, quoted.end() if quoted else start)
        value = quoted[1]
        if pattern is _DOUBLE:
            value = _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), value)
        return value, rest.end()
    bare = _BARE.match(text, start)
    assert bare is not None  # the pattern matches the empty string
    return _BARE_COMMENT.sub("", bare[0]).strip(), bare.end() + 1
