"""getUpdates."""

import asyncio
from collections.abc import Awaitable, Callable

from brama.clock import monotonic_s
from sandbox.api.errors import OTHER_POLL, WEBHOOK_ACTIVE, WEBHOOK_SET, ApiError, conflict
from sandbox.api.presence import finish
from sandbox.api.request import Call
from sandbox.policy.polling import PollRequest, PreviousPoll, decide_poll
from sandbox.state.bot import Bot, PollEnd

Wait = Callable[["asyncio.Future[PollEnd]"], Awaitable[PollEnd]]


async def get_updates(call: Call, wait: Wait) -> bytes:
    """Answer getUpdates: at once when updates wait, else when one comes or the timeout is over.

    Args:
        wait: waits for the end of a long poll, unless the client hangs up.

    Returns:
        the JSON array of updates.

    Raises:
        ApiError: a webhook is set, or another poll took the place of this one.
    """
    bot = call.bot
    now = monotonic_s()
    if bot.webhook.url:
        raise await _conflict(bot, WEBHOOK_ACTIVE)
    set_allowed_updates(call)
    asked = decide_poll(
        call.integer("offset", 0),
        call.integer("limit", 100),
        call.integer("timeout", 0),
        bot.previous_poll,
        now,
    )
    bot.previous_poll = PreviousPoll(asked.offset, now)
    if bot.first_poll_at is None:
        bot.first_poll_at = now
    bot.open_polls += 1
    try:
        return await _wait_for_batch(bot, asked, wait)
    finally:
        bot.open_polls -= 1
        bot.last_poll_at = monotonic_s()


async def _wait_for_batch(bot: Bot, asked: PollRequest, wait: Wait) -> bytes:
    batch = _batch(bot, asked)
    if batch or not asked.timeout_s:
        return _array(batch)
    poll = bot.begin_long_poll()
    timer = asyncio.get_running_loop().call_later(asked.timeout_s, finish, poll, PollEnd.TIMEOUT)
    try:
        end = await wait(poll)
    finally:
        timer.cancel()
        bot.close_long_poll(poll)
    if end is PollEnd.OTHER_POLL:
        raise await _conflict(bot, OTHER_POLL)
    if end is PollEnd.WEBHOOK:
        raise await _conflict(bot, WEBHOOK_SET)
    return _array(_batch(bot, asked))


def _batch(bot: Bot, asked: PollRequest) -> list[bytes]:
    return [entry.body for entry in bot.queue.take(asked.offset, asked.limit, monotonic_s())]


def _array(batch: list[bytes]) -> bytes:
    return b"[" + b",".join(batch) + b"]"


async def _conflict(bot: Bot, reason: str) -> ApiError:
    pause_s = bot.next_conflict_pause_s(monotonic_s())
    if pause_s:
        await asyncio.sleep(pause_s)
    return conflict(reason)


def set_allowed_updates(call: Call) -> None:
    """Remember ``allowed_updates`` if the request has it; an empty list is Telegram's default again."""
    if "allowed_updates" in call.params:
        call.bot.allowed_updates = frozenset(
            kind for kind in call.list_of("allowed_updates") if isinstance(kind, str)
        )
