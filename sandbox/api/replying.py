"""Carries out the Bot API call that a webhook may answer an update with."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sandbox.api.dispatch import Dispatcher
from sandbox.api.errors import ApiError
from sandbox.api.http import Report
from sandbox.api.methods import CANONICAL
from sandbox.api.request import Call, decode_params
from sandbox.state.bot import Bot, PollEnd

#: Methods that a webhook's answer cannot call, besides those that only ask.
REFUSED = frozenset({"deletewebhook", "setwebhook", "close", "logout"})


@dataclass(frozen=True, slots=True)
class Replies:
    """What webhooks answer with; nobody but ``report`` learns what became of it."""

    dispatcher: Dispatcher
    report: Report | None

    async def carry_out(self, bot: Bot, content_type: str, body: bytes) -> None:
        """Carry out the call in an answer's body; a body that holds none is no mistake."""
        raw = _fields(content_type, body)
        method = str(raw.pop("method", "")).lower()
        canonical = CANONICAL.get(method)
        if canonical is None or method in REFUSED or method.startswith("get"):
            return
        bot.calls[canonical] += 1
        try:
            await self.dispatcher.call(Call(bot, canonical, decode_params(raw)), _never_waits)
        except ApiError as error:
            if self.report is not None:
                self.report(f"bot {bot.bot_id}: {canonical}: {error.code} {error.description}")
        except Exception as error:
            # A mistake of ours ends this call alone, as it does over HTTP.
            context = {"message": f"bot {bot.bot_id}: {canonical} failed here", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


def _fields(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if content_type != "application/json":
        return {}
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


async def _never_waits(poll: "asyncio.Future[PollEnd]") -> PollEnd:
    return await poll
