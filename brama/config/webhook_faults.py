"""Finds what keeps Telegram from bringing updates to this machine."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from brama.config.hosts import is_host
from brama.config.models import WebhookSection
from brama.config.paths import absolute
from brama.config.report import Location
from brama.config.settings import BotSettings
from brama.config.tls_files import find_certificate_fault, find_key_fault
from brama.config.webhook_address import find_address_fault

_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
#: Telegram forgets an update after this long, in seconds.
_KEPT_S = 24 * 3600.0
#: Longest pause between two tries of a webhook, in seconds.
_LONGEST_RETURN_S = 3600.0


def webhook_user(bots: Iterable[BotSettings], mode: str, source_url: str | None) -> str | None:
    """Return in words who needs the webhook, None if nobody does.

    Args:
        bots: the bots to look at.
        mode: the fleet's, which bots of the platform have that may still come.
        source_url: ``bots_source.url``.
    """
    for bot in bots:
        if bot.enabled and bot.mode == "webhook":
            return f'"{bot.id}" is in mode webhook'
    return "the platform's bots are in mode webhook" if source_url and mode == "webhook" else None


def find_webhook_faults(
    webhook: WebhookSection, base_url: str, root: Path, user: str | None
) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong, with its location.

    Args:
        webhook: the section, valid by itself.
        base_url: ``telegram.base_url``.
        root: where relative paths start.
        user: who needs the webhook, in words; None: nobody, so that it need not work.
    """
    if webhook.secret is not None and not _SECRET.fullmatch(webhook.secret.get_secret_value()):
        yield ("webhook", "secret"), "must be 1 to 256 of A-Z a-z 0-9 _ - (not shown here)"
    if webhook.listen is not None and not is_host(webhook.listen):
        yield (
            ("webhook", "listen"),
            f'"{webhook.listen}" is neither an IP address nor a host name; write 127.0.0.1',
        )
    if (webhook.ssl_cert is None) != (webhook.ssl_key is None):
        key = "ssl_cert" if webhook.ssl_key is None else "ssl_key"
        yield ("webhook", key), "ssl_cert and ssl_key go together; write both or none"
    if webhook.switch_after >= _KEPT_S:
        yield (
            ("webhook", "switch_after"),
            "must be less than 24h, as long as Telegram keeps updates; write 60s",
        )
    if webhook.return_after > _LONGEST_RETURN_S:
        yield ("webhook", "return_after"), "must be at most 1h, up to which it is doubled; write 10m"
    if user is not None:
        yield from _find_obstacles(webhook, base_url, root, user)


def _find_obstacles(
    webhook: WebhookSection, base_url: str, root: Path, user: str
) -> Iterator[tuple[Location, str]]:
    """Yield what only matters to a webhook that is used."""
    if webhook.host is None:
        way_out = "write https://bots.example.com, or set WEBHOOK_HOST"
        yield ("webhook", "host"), f"is missing, and {user}; {way_out}"
    elif fault := find_address_fault(webhook.host, base_url):
        yield ("webhook", "host"), fault
    if webhook.secret is None:
        way_out = "write ${WEBHOOK_SECRET} and set it to 32 random characters"
        yield ("webhook", "secret"), f"is missing, and {user}; {way_out}"
    if webhook.certificate is not None and (
        fault := find_certificate_fault(absolute(webhook.certificate, root))
    ):
        yield ("webhook", "certificate"), fault
    if webhook.ssl_cert is None or webhook.ssl_key is None:
        return
    cert, key = absolute(webhook.ssl_cert, root), absolute(webhook.ssl_key, root)
    if fault := find_certificate_fault(cert):
        yield ("webhook", "ssl_cert"), fault
    if fault := find_key_fault(key, cert=None if fault else cert):
        yield ("webhook", "ssl_key"), fault
