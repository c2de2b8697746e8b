"""Reads files of ``NAME=value`` lines: the ``.env`` beside a configuration, a bot's ``env_file``.

The common subset of shells, docker and python-dotenv: ``#`` comments, an optional ``export``, single quotes
(taken as they are), double quotes (with ``\\n``, ``\\t``, ``\\"``, ``\\\\``; may span lines), bare values (a
comment starts at a blank and ``#``). Nothing is substituted in values.
"""

import re
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


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of the file at ``path``; the last of equal names counts.

    Raises:
        ConfigError: it cannot be read, or a line is none of the above; the text says which or why,
            without the file's name and without any value.
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
        ConfigError: a line is no assignment; the text is ``line N ...``.
    """
    text = text.replace("\r\n", "\n")
    variables: dict[str, str] = {}
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        line = text.count("\n", 0, position) + 1
        assignment = _ASSIGNMENT.match(text, position)
        if not assignment:
            raise ConfigError(f"line {line} is not NAME=value")
        value, position = _read_value(text, assignment.end(), line)
        if "\0" in value:
            raise ConfigError(f"line {line}: the value of {assignment[1]} holds a NUL character")
        variables[assignment[1]] = value
    return variables


def _read_value(text: str, start: int, line: int) -> tuple[str, int]:
    """Return the value that starts at ``start``, and where the next line does."""
    if text.startswith(("'", '"'), start):
        pattern = _SINGLE if text[start] == "'" else _DOUBLE
        quoted = pattern.match(text, start)
        rest = quoted and _BLANK.match(text, quoted.end())
        if not quoted or not rest:
            raise ConfigError(f"line {line}: a quote without its end, or text after it")
        value = quoted[1]
        if pattern is _DOUBLE:
            value = _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), value)
        return value, rest.end()
    bare = _BARE.match(text, start)
    assert bare is not None  # the pattern matches the empty string
    return _BARE_COMMENT.sub("", bare[0]).strip(), bare.end() + 1
