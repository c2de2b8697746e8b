"""Reads single settings, and says to anything else what is wrong with it.

A value comes from YAML or JSON (already a str, int, float, bool, list or dict), as text from the environment,
or from Python code. Only code, which validates without a context, may give a duration or size as a plain
number.
"""

import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BeforeValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from brama.config.values import parse_uids
from brama.update_kinds import UPDATE_KINDS

#: Telegram answers no callback after 150 s and no inline query after 30 s.
DEFAULT_AGES_S: dict[str, float | None] = {"callback_query": 150.0, "inline_query": 30.0}
EMPTY = "is empty; write a value, or leave the key out"
_FLAGS = {
    "true": True,
    "false": False,
    "yes": True,
    "no": False,
    "on": True,
    "off": False,
    "1": True,
    "0": False,
}


def refuse(text: str) -> PydanticCustomError:
    """Return the error that ends validation of one setting with ``text`` said about it."""
    return PydanticCustomError("brama", "{text}", {"text": text})


def describe(value: object) -> str:
    """Return ``value`` as an operator would recognise it in a file, cut to 60 characters."""
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str():
            return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
        case _:
            return json.dumps(value, default=str)


def as_text(value: object) -> str:
    """Return non-empty text without control characters; surrounding blanks do not count."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bool | int | float):
        kind = "true or false" if isinstance(value, bool) else "a number"
        raise refuse(f'{describe(value)} is {kind}; write it in quotes: "{json.dumps(value)}"')
    if not isinstance(value, str):
        raise refuse(f"must be text, not {describe(value)}")
    text = value.strip()
    if not text:
        raise refuse(EMPTY)
    if not text.isprintable():
        raise refuse("holds control characters; write plain text")
    return text


def as_secret(value: object) -> SecretStr:
    """Return text that is never shown, not in errors either."""
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise refuse("is not text (not shown here); put it in quotes")
    return SecretStr(as_text(value))


def in_language(
    parse: Callable[[str], Any], numbers: Callable[[float], Any], unit: str
) -> Callable[..., Any]:
    """Return a validator for one of the languages of ``values``; a file's bare number lacks ``unit``."""

    def validate(value: object, info: ValidationInfo) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if info.context is None:
                return numbers(value)
            raise refuse(f"{describe(value)} has no unit; write {value}{unit}")
        try:
            return parse(as_text(value))
        except ValueError as error:
            raise refuse(str(error)) from None

    return validate


def as_uids(value: object) -> range:
    """Return a range of uids; a single number is none."""
    if isinstance(value, range):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refuse(f"{describe(value)} is not a range of uids; write isolation.uids: 20000-29999")
    try:
        return parse_uids(as_text(value))
    except ValueError as error:
        raise refuse(str(error)) from None


def positive(value: float) -> float:
    if value <= 0:
        raise refuse("must be more than 0")
    return value


def at_least_a_second(value: float) -> float:
    """Let 0 pass, too: never."""
    if 0 < value < 1:
        raise refuse("must be at least 1s, or 0s for never")
    return value


def whole_number(lowest: int, highest: int) -> Callable[[object], int]:
    """Return a validator for whole numbers of ``lowest`` to ``highest``, both included."""

    def validate(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse(f"{describe(value)} is not a whole number; write one of {lowest} to {highest}")
        if not lowest <= value <= highest:
            raise refuse(f"{value} is out of range; write {lowest} to {highest}")
        return value

    return validate


def as_flag(value: object) -> bool:
    if isinstance(value, str) and value.strip().lower() in _FLAGS:
        return _FLAGS[value.strip().lower()]
    if not isinstance(value, bool):
        raise refuse(f"{describe(value)} is neither true nor false")
    return value


def matching(pattern: re.Pattern[str], meaning: str) -> Callable[[object], str]:
    def validate(value: object) -> str:
        text = as_text(value)
        if not pattern.fullmatch(text):
            raise refuse(f"{describe(text)} is not {meaning}")
        return text

    return validate


def as_items(value: object) -> object:
    """Split text at commas, so that a list can come from the environment; anything but a list is refused."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise refuse(f"must be a list, not {describe(value)}")
    return value


def as_networks(value: object) -> tuple[str, ...]:
    """Return networks in their canonical form, ``149.154.160.0/20``; comma-separated text is a list too."""
    items = as_items(value)
    assert isinstance(items, list | tuple)
    return tuple(_network(item) for item in items)


def _network(value: object) -> str:
    text = as_text(value)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise refuse(f"{describe(text)} is no network: {error}; write 149.154.160.0/20") from None


def as_choice(*allowed: str, aliases: Mapping[str, str] | None = None) -> BeforeValidator:
    """Return a validator for one of ``allowed`` or its alias; upper case counts as lower."""

    def validate(value: object) -> str:
        text = as_text(value).lower()
        text = (aliases or {}).get(text, text)
        if text not in allowed:
            raise refuse(f"{describe(value)} is not known; write {' or '.join(allowed)}")
        return text

    return BeforeValidator(validate)


def as_arguments(value: object) -> tuple[str, ...]:
    """Return the arguments of a process, each as it was written.

    Numbers and booleans, which come from code and JSON, become their JSON text.
    """
    if not isinstance(value, list | tuple):
        raise refuse(f"must be a list such as [--verbose, shop], not {describe(value)}")
    texts = [json.dumps(item) if isinstance(item, bool | int | float) else item for item in value]
    for text in texts:
        if not isinstance(text, str) or "\0" in text:
            raise refuse(f"{describe(text)} cannot be an argument; write text, in quotes where needed")
    return tuple(texts)


def as_ages(value: object) -> dict[str, object]:
    """Return ages for kinds of updates, with DEFAULT_AGES_S for those not named; ``none`` becomes None."""
    if not isinstance(value, dict):
        raise refuse(f"must be a mapping of kinds and ages, not {describe(value)}")
    for kind in value:
        if kind not in UPDATE_KINDS:
            close = difflib.get_close_matches(str(kind), UPDATE_KINDS, n=1, cutoff=0.3)
            hint = f"did you mean {close[0]}?" if close else "write for example callback_query"
            raise refuse(f'"{kind}" is no kind of update; {hint}')
    written = {kind: None if age == "none" else age for kind, age in value.items()}
    return {kind: age and f"{age:g}s" for kind, age in DEFAULT_AGES_S.items()} | written


def as_variables(value: object) -> dict[str, str]:
    """Return a mapping of variable names to text as it was written.

    Numbers and booleans, which come from code and JSON, become their JSON text.
    """
    if not isinstance(value, dict):
        raise refuse(f"must be a mapping of NAME: value, not {describe(value)}")
    variables = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise refuse(f"{describe(name)} cannot be the name of a variable")
        if text is None:
            raise refuse(f'{name} has no value; write {name}: ""')
        if isinstance(text, dict | list):
            raise refuse(f"{name} must be text, not {describe(text)}")
        text = text if isinstance(text, str) else json.dumps(text)
        if "\0" in text:
            raise refuse(f"the value of {name} holds a NUL character")
        variables[name] = text
    return variables
