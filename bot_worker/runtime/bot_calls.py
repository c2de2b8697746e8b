"""Makes the script's Bot the supervisor's: its token, its Bot API, its identity, and no hand on ingress.

Every Bot talks to the configured Bot API. The token is replaced for each Bot that an application could poll
with, for every other Bot that was given the same token, and where no usable token was given; a Bot with
another valid token (one that only sends alerts, say) keeps it.

Runs in: worker.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from telegram import Bot

from bot_worker.runtime.notices import Notices
from bot_worker.runtime.tracker import current_entry

#: The shape of a token; anything else a script passes is a placeholder.
_TOKEN = re.compile(r"\d{3,}:[A-Za-z0-9_-]{20,}")

#: How long getUpdates, which returns nothing here, takes at least and at most: loops must not spin.
_MIN_POLL_S = 1.0
_MAX_POLL_S = 50.0

DoPost = Callable[..., Awaitable[Any]]


class BotCalls:
    """Stands around ``Bot.__init__`` and ``Bot._do_post``."""

    def __init__(self, token: str, base_url: str, identity: bytes, notices: Notices) -> None:
        #: The supervisor's token for this bot.
        self.token = token
        self._base_url = f"{base_url.rstrip('/')}/bot"
        self._base_file_url = f"{base_url.rstrip('/')}/file/bot"
        self._identity = identity
        self._notices = notices
        self._aliases = {token}
        self._adopted = False
        self._others: list[Bot] = []
        #: Where the script believes its updates are sent.
        self.webhook_url = ""
        #: Until the bot serves, getMe is answered from the master's cache.
        self.serving = False

    # --- whose a Bot is ---------------------------------------------------------------------------

    def arguments(self, token: object) -> tuple[str, str, str]:
        """Return token, base URL and base file URL for a Bot that is being made with ``token``."""
        if token == self.token:
            self._adopted = True
        elif isinstance(token, str) and token not in self._aliases and _TOKEN.fullmatch(token):
            return token, self._base_url, self._base_file_url
        return self.token, self._base_url, self._base_file_url

    def made(self, bot: Bot) -> None:
        """Remember a Bot with a token of its own: it may turn out to be the application's."""
        if bot._token != self.token:
            self._others.append(bot)

    def adopt_first(self, bot: Bot) -> None:
        """Adopt the first ``bot`` that could be polled with, unless the script knows the right token."""
        if not self._adopted:
            self.adopt(bot)

    def adopt(self, bot: Bot) -> None:
        """Make ``bot``, which updates come for, and all Bots with its token the supervisor's."""
        self._adopted = True
        if bot._token == self.token:
            return
        alias = bot._token
        self._aliases.add(alias)
        for each in [bot, *self._others]:
            if each._token == alias:
                each._token = self.token
                each._base_url = self._base_url + self.token
                each._base_file_url = self._base_file_url + self.token
        self._others = [each for each in self._others if each._token != self.token]

    # --- calls ------------------------------------------------------------------------------------

    async def post(
        self, original: DoPost, bot: Bot, endpoint: str, data: dict[str, Any], **timeouts: Any
    ) -> Any:
        """Call the Bot API unless the call is the supervisor's to answer."""
        if bot._token == self.token:
            answer = _LOCAL.get(endpoint.lower())
            if answer is not None and (self._knows_itself or answer is not BotCalls._get_me):
                return await answer(self, data)
        result = await original(bot, endpoint, data, **timeouts)
        entry = current_entry.get()
        if entry is not None and changes_something(endpoint):
            entry.wrote = True
        return result

    @property
    def _knows_itself(self) -> bool:
        return bool(self._identity) and not self.serving

    async def _get_me(self, _: dict[str, Any]) -> Any:
        identity = msgspec.json.decode(self._identity)
        return identity.get("result", identity)

    async def _get_updates(self, data: dict[str, Any]) -> list[Any]:
        self._refuse("get_updates", "updates come from the supervisor; get_updates() returns none")
        timeout = data.get("timeout") or 0
        seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else float(timeout)
        await asyncio.sleep(min(max(seconds, _MIN_POLL_S), _MAX_POLL_S))
        return []

    async def _set_webhook(self, data: dict[str, Any]) -> bool:
        self._refuse("set_webhook", "set_webhook() was not sent: updates come through the supervisor")
        self.webhook_url = str(data.get("url", ""))
        self._mind_dropping(data)
        return True

    async def _delete_webhook(self, data: dict[str, Any]) -> bool:
        self._refuse("delete_webhook", "delete_webhook() was not sent: updates come through the supervisor")
        self.webhook_url = ""
        self._mind_dropping(data)
        return True

    async def _get_webhook_info(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"url": self.webhook_url, "has_custom_certificate": False, "pending_update_count": 0}

    async def _close(self, _: dict[str, Any]) -> bool:
        self._refuse("close", "close() was not sent: it would end the supervisor's own connection")
        return True

    async def _log_out(self, _: dict[str, Any]) -> bool:
        self._refuse("log_out", "log_out() was not sent: it would cut the bot off from its Bot API")
        return True

    def _mind_dropping(self, data: dict[str, Any]) -> None:
        if data.get("drop_pending_updates"):
            self.say_nothing_dropped()

    def say_nothing_dropped(self) -> None:
        """Warn that ``drop_pending_updates=True`` does nothing here."""
        self._notices.say(
            "drop_pending_updates",
            "drop_pending_updates=True is ignored: no update is lost here; to let old ones expire set "
            "delivery.max_update_age",
        )

    def _refuse(self, code: str, text: str) -> None:
        self._notices.say(code, text)


def changes_something(endpoint: str) -> bool:
    """Return whether a successful call of ``endpoint`` would be noticed if it were made twice."""
    return not endpoint.lower().startswith(("get", "sendchataction"))


_LOCAL: dict[str, Callable[[BotCalls, dict[str, Any]], Awaitable[Any]]] = {
    "getme": BotCalls._get_me,
    "getupdates": BotCalls._get_updates,
    "setwebhook": BotCalls._set_webhook,
    "deletewebhook": BotCalls._delete_webhook,
    "getwebhookinfo": BotCalls._get_webhook_info,
    "close": BotCalls._close,
    "logout": BotCalls._log_out,
}
