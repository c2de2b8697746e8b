"""Turns what the master delivers into what python-telegram-bot is to process.

Telegram's JSON becomes an Update, as the library's own poller would make it; a job's result a JobResult.

Runs in: worker.
"""

import json
from typing import Any

import msgspec
from telegram import Bot, Update
from telegram.ext import ExtBot

from brama.jobs import JobResult
from brama.messages import Deliver

_decode = msgspec.json.Decoder().decode


def decode_entry(message: Deliver, bot: Bot) -> Update | JobResult:
    """Return what ``message`` delivers.

    Raises:
        Exception: whatever python-telegram-bot raises for what it cannot take.
    """
    if message.update_id < 0:
        return msgspec.convert(_parse(message.raw)["job_result"], JobResult)
    return decode_update(message.raw, bot)


def decode_update(raw: bytes, bot: Bot) -> Update:
    """Return the update in ``raw`` with the buttons' cached data put in, where ``bot`` keeps such data.

    Raises:
        Exception: whatever python-telegram-bot raises for what it cannot take.
    """
    update = Update.de_json(_parse(raw), bot)
    if isinstance(bot, ExtBot):
        bot.insert_callback_data(update)
    return update


def _parse(raw: bytes) -> Any:
    """Parse with msgspec, five times faster than json, which takes what it refuses (lone surrogates)."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return json.loads(raw.decode("utf-8", "replace"))
