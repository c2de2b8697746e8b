"""Puts environment variables into text: ``${NAME}`` and ``${NAME:-default}``.

``$${NAME}`` stands for the characters ``${NAME}``. A variable that is set but empty takes its default, as
in a shell.
"""

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)(\}?)")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class MissingVariableError(ValueError):
    """A variable without default is not set."""


class Variables:
    """The variables a configuration may name, and which of them it did.

    ``places`` says in words where a missing one could be set.
    """

    def __init__(self, values: Mapping[str, str], places: str) -> None:
        self._values = values
        self._places = places
        self._used: set[str] = set()

    @property
    def used(self) -> frozenset[str]:
        """Names of all variables that were asked for, set or not."""
        return frozenset(self._used)

    def expand(self, text: str) -> str:
        """Return ``text`` with all references replaced.

        Raises:
            MissingVariableError: a variable without default is not set.
            ValueError: a reference is not well formed.
        """
        return _REFERENCE.sub(self._replace, text) if "${" in text else text

    def _replace(self, reference: re.Match[str]) -> str:
        escaped, inner, closed = reference.groups()
        if not closed:
            raise ValueError("a ${ without its }; write ${NAME}, or $${ for the characters themselves")
        if escaped:
            return reference[0][1:]
        found = _NAME.fullmatch(inner)
        if not found:
            raise ValueError(f"${{{inner}}} is not a variable; write ${{NAME}} or ${{NAME:-default}}")
        name, default = found.groups()
        self._used.add(name)
        value = self._values.get(name)
        if default is not None:
            return value or default
        if value is None:
            raise MissingVariableError(f"variable {name} is not set; set it in {self._places}")
        return value
