"""What tests of webhooks do to a sandbox."""

import asyncio
from typing import Any

from sandbox.answers import WebhookState
from tests.fixtures.sandbox import RunningSandbox
from tests.waiting import await_until

BOT = 1001


async def set_webhook(sandbox: RunningSandbox, url: str, bot: int = BOT, **params: object) -> dict[str, Any]:
    """Set a webhook; returns the answer."""
    status, answer = await asyncio.to_thread(sandbox.call, bot, "setWebhook", url=url, **params)
    assert status == 200, answer
    return dict(answer)


async def set_again(sandbox: RunningSandbox, url: str, **params: object) -> dict[str, Any]:
    """Change a webhook, which Telegram lets a bot do once a second."""

    answers: list[dict[str, Any]] = []

    async def is_set() -> bool:
        status, answer = await asyncio.to_thread(sandbox.call, BOT, "setWebhook", url=url, **params)
        assert status in (200, 429)
        answers.append(answer)
        return status == 200

    await await_until(is_set)
    return answers[-1]


async def info(sandbox: RunningSandbox, bot: int = BOT) -> dict[str, Any]:
    """Return what getWebhookInfo answers."""
    _, answer = await asyncio.to_thread(sandbox.call, bot, "getWebhookInfo")
    return dict(answer["result"])


def webhook_of(sandbox: RunningSandbox) -> WebhookState:
    """Return the state of the bot's webhook, which is set."""
    state = sandbox.control.state(BOT).webhook
    assert state is not None
    return state


async def say(sandbox: RunningSandbox, chat: int, text: str, count: int = 1, bot: int = BOT) -> list[int]:
    """Write to a bot; returns the ids of the updates."""
    written = await asyncio.to_thread(sandbox.control.send_messages, bot, chat, text, count)
    return written.update_ids


async def is_drained(sandbox: RunningSandbox, bot: int = BOT) -> None:
    """Wait until nothing waits for a bot."""
    await await_until(lambda: sandbox.control.state(bot).pending == 0, what="the queue is empty")
