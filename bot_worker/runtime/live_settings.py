"""Keeps ``brama.settings()`` and ``bot_data["settings"]`` what the configuration says now.

Runs in: worker.
"""

import asyncio
import inspect
from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import Context
from typing import Any, NoReturn

from telegram.ext import BasePersistence

from bot_worker.runtime.notices import Notices
from bot_worker.runtime.ports import AnyApplication
from brama.author import OnChange, replace_settings

KEY = "settings"


class SettingsInBotData(dict[str, Any]):
    """The value of ``bot_data["settings"]``: reads as a dict, refuses changes, is never saved."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("bot_data['settings'] is read-only; change the bot's settings in brama.yaml")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = pop = popitem = clear = setdefault = _refuse

    def __deepcopy__(self, _: dict[int, object]) -> "SettingsInBotData":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class LiveSettings:
    """One bot's settings, given to it in both places; where there are none, bot_data is left alone."""

    def __init__(self, settings: Mapping[str, Any], notices: Notices) -> None:
        self._settings = settings
        self._notices = notices
        self._application: AnyApplication | None = None
        self._telling: asyncio.Task[None] | None = None
        replace_settings(settings)

    def put_into(self, application: AnyApplication) -> None:
        """Set ``bot_data["settings"]`` of ``application``, whose persistence has been loaded."""
        self._application = application
        self._put()

    def change(self, settings: Mapping[str, Any]) -> None:
        """Take new settings into use and tell the bot's callbacks; to be called in the bot's loop."""
        self._settings = settings
        callbacks = replace_settings(settings)
        self._put()
        if callbacks:
            telling = self._tell(callbacks, settings)
            self._telling = asyncio.get_running_loop().create_task(telling, context=Context())

    async def _tell(self, callbacks: Sequence[OnChange], settings: Mapping[str, Any]) -> None:
        for callback in callbacks:
            try:
                result = callback(settings)
                if inspect.isawaitable(result):
                    await result
            except Exception as error:
                message = f"a callback of brama.on_settings_change raised {type(error).__name__}"
                context = {"message": message, "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
                self._notices.say("settings_callback", f"{message}; its log has the stack")

    def _put(self) -> None:
        bot_data = self._application.bot_data if self._application is not None else None
        if not isinstance(bot_data, MutableMapping):
            return
        present = bot_data.get(KEY)
        if not isinstance(present, SettingsInBotData):
            if not self._settings:
                return
            if present is not None:
                self._notices.say(
                    "settings_in_bot_data",
                    'bot_data["settings"] is the bot\'s own, so its settings are in brama.settings() only',
                )
                return
        try:
            bot_data[KEY] = SettingsInBotData(self._settings)
        except Exception as error:
            self._notices.say(
                "settings_in_bot_data", f"bot_data refuses settings: {type(error).__name__}: {error}"
            )
            return
        if self._application is not None and self._application.persistence is not None:
            keep_out_of(type(self._application.persistence))


def keep_out_of(persistence: type[BasePersistence[Any, Any, Any]]) -> None:
    """Have a class of persistence, which is given a copy of bot_data, leave the settings out."""
    original = persistence.update_bot_data
    if getattr(original, "leaves_settings_out", False):
        return

    async def update_bot_data(self: BasePersistence[Any, Any, Any], data: Any) -> None:
        if isinstance(data, MutableMapping) and isinstance(data.get(KEY), SettingsInBotData):
            del data[KEY]
        await original(self, data)

    update_bot_data.leaves_settings_out = True  # type: ignore[attr-defined]
    persistence.update_bot_data = update_bot_data  # type: ignore[method-assign]
