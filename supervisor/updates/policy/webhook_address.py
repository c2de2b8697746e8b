"""Makes up where Telegram brings a bot's updates, and what it says to be let in.

Pure.
"""

import base64
import hashlib
import hmac
from functools import lru_cache
from urllib.parse import urlsplit

from brama.ids import BotId, TelegramId


def address_of(public_address: str, bot_id: BotId) -> str:
    """Return a bot's webhook address, as Telegram shows it afterwards: the host in small letters.

    Args:
        public_address: ``webhook.host`` as ``brama.config.webhook_address`` writes it: no slash at its end.
        bot_id: of characters that need no escapes.
    """
    parts = urlsplit(public_address)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}/webhook/{bot_id}"


@lru_cache(4096)  # asked with every delivery
def secret_of(key: str, base_url: str, telegram_id: TelegramId, bot_id: BotId) -> str:
    """Return the secret of one bot: 43 of ``A-Z a-z 0-9 _ -``, as setWebhook takes them.

    Derived with HMAC-SHA256, so that none tells another, or the key. Whose updates are meant is part of it:
    what is delivered for an earlier bot of the same name, or by another Bot API server, does not pass for
    this one's.

    Args:
        key: ``webhook.secret``.
        base_url: of the Bot API server.
        telegram_id: the bot's.
        bot_id: the bot's name here.
    """
    parts = [part.encode() for part in (base_url, str(telegram_id), bot_id)]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    digest = hmac.digest(key.encode(), message, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
