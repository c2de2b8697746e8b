"""What a bot's own code may ask of the supervisor: its live settings.

Works outside the supervisor too: there the settings are what the variable BRAMA_SETTINGS holds as a JSON
object, and nothing without it.

Runs in: worker, or wherever a bot is developed.
"""

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from brama.errors import ConfigError

#: Holds the settings where no supervisor does.
SETTINGS_VARIABLE = "BRAMA_SETTINGS"

Settings = Mapping[str, Any]
OnChange = Callable[[Settings], Awaitable[None] | None]
OnChangeT = TypeVar("OnChangeT", bound=OnChange)

_current: Settings | None = None
_callbacks: list[OnChange] = []


def settings() -> Settings:
    """Return this bot's ``settings`` of the configuration as they are now, a read-only mapping.

    Ask again instead of keeping it: a change of settings alone restarts no bot.

    Raises:
        ConfigError: no supervisor runs this bot and BRAMA_SETTINGS is not a JSON object.
    """
    global _current
    if _current is None:
        _current = _from_environment()
    return _current


def on_settings_change(callback: OnChangeT) -> OnChangeT:
    """Have ``callback``, a function or coroutine function, called with the new settings after each change.

    It runs in the bot's event loop. Usable as a decorator: returns ``callback``.
    """
    if not callable(callback):
        raise TypeError(f"on_settings_change() needs a function, not {type(callback).__name__}")
    _callbacks.append(callback)
    return callback


def replace_settings(new: Settings) -> tuple[OnChange, ...]:
    """Make ``new`` what ``settings()`` returns; return the callbacks to tell. For the worker's runtime."""
    global _current
    _current = MappingProxyType(dict(new))
    return tuple(_callbacks)


def _from_environment() -> Settings:
    text = os.environ.get(SETTINGS_VARIABLE, "")
    try:
        value = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ConfigError(f"{SETTINGS_VARIABLE} is not JSON: {error}; write an object as {{}}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{SETTINGS_VARIABLE} is {type(value).__name__} in JSON, not an object; write {{}}")
    return MappingProxyType(value)
