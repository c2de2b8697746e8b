"""Says what a bot's webhook should be, as configured now.

Runs in: master.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from brama.config.settings import BotSettings, Settings
from brama.config.webhook_address import public_address
from supervisor.updates.bot_poller import kinds_for
from supervisor.updates.policy.hook_info import Hook, kinds
from supervisor.updates.policy.registration import Unconfigured
from supervisor.updates.policy.webhook_address import address_of, secret_of


def secret_for(bot: BotSettings, settings: Settings) -> str | None:
    """Return what Telegram is told to send with each update of ``bot``; None without ``webhook.secret``."""
    key = settings.webhook.secret
    if key is None:
        return None
    return secret_of(key.get_secret_value(), settings.telegram.base_url, bot.telegram_id, bot.id)


async def hook_for(
    bot: BotSettings, settings: Settings, asked_for: Sequence[str] | None
) -> Hook | Unconfigured:
    """Return what setWebhook is to be told, with the certificate as it is on disk, or what is missing.

    Args:
        bot: whose webhook.
        settings: the section ``webhook``.
        asked_for: the kinds of updates that the bot's script wants, None: all.
    """
    section, secret = settings.webhook, secret_for(bot, settings)
    if section.host is None or secret is None:
        missing = "webhook.host" if section.host is None else "webhook.secret"
        return Unconfigured(f"{missing} is not set, so Telegram cannot be told where to deliver")
    certificate = b""
    if section.certificate is not None:
        try:
            certificate = await asyncio.to_thread(Path(section.certificate).read_bytes)
        except OSError as error:
            return Unconfigured(
                f"webhook.certificate: {section.certificate} cannot be read: {error.strerror}"
            )
    return Hook(
        url=address_of(public_address(section.host), bot.id),
        secret=secret,
        max_connections=section.max_connections,
        allowed_updates=kinds(kinds_for(bot, asked_for)),
        certificate=certificate,
    )
