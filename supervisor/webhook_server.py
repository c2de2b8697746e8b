"""The webhook server in the words of the master.

Runs in: master.
"""

import os

import msgspec

from brama.config.settings import Settings
from supervisor.control.status import WebhookStatus
from supervisor.handover.records import WebhookRecord
from supervisor.reload.policy.plan import needs_webhook
from webhook.listener import bind
from webhook.ports import Door
from webhook.server import Inheritance, WebhookServer
from webhook.settings import WebhookServerSettings, server_settings
from webhook.tls import load_tls


class MasterWebhookServer:
    """Serves ``door`` as ``settings`` say.

    Args:
        door: where updates go.
        settings: the configuration.
        left: what an earlier server has left; gone on with where that fits ``settings``.
    """

    def __init__(self, door: Door, settings: Settings, left: WebhookRecord | None) -> None:
        token = settings.api.token
        self._terms = self._settings(settings)
        self._server = WebhookServer(
            door,
            self._terms,
            api_token=None if token is None else token.get_secret_value(),
            inherited=None if left is None else _inheritance(left, self._terms),
        )
        self.start = self._server.start
        self.drain = self._server.drain
        self.aclose = self._server.aclose
        self.last_seen_at = self._server.last_seen_at
        self.last_refused_at = self._server.last_refused_at

    def reconfigure(self, settings: Settings) -> None:
        """Serve as ``settings`` say, with certificates as they are on disk now."""
        self._server.reconfigure(self._settings(settings))

    def draft(self) -> WebhookRecord:
        """Return what ``hand_over`` would, without file descriptors."""
        return WebhookRecord(self._terms.listen, self._terms.port)

    async def hand_over(self) -> WebhookRecord:
        """Finish what has begun, and return what another server can go on with."""
        left = await self._server.hand_over()
        return msgspec.structs.replace(self.draft(), listener=left.listener, clients=left.clients)

    def status(self) -> WebhookStatus:
        """Return where it listens, and what it has taken in."""
        stats = self._server.stats()
        host, port = self._server.address
        refused = sum(stats.refused.values())
        return WebhookStatus(f"{host}:{port}", stats.accepted, stats.duplicates, refused)

    @staticmethod
    def _settings(settings: Settings) -> WebhookServerSettings:
        return server_settings(settings.webhook, settings.webhook.ssl_cert, settings.webhook.ssl_key)


def _inheritance(left: WebhookRecord, terms: WebhookServerSettings) -> Inheritance | None:
    """Return what a server of these terms can go on with; the rest is closed."""
    if (left.listen, left.port) != (terms.listen, terms.port):
        left.close()
        return None
    if not terms.has_tls:
        return Inheritance(left.listener, left.clients)
    for fd in left.clients:
        os.close(fd)
    return Inheritance(left.listener, ())


def try_webhook_address(left: WebhookRecord | None, settings: Settings) -> None:
    """Make sure that the server of ``settings`` could go on with ``left``, or else have its address.

    Raises:
        BramaError: the address or a certificate is not to be had.
    """
    if not needs_webhook(settings):
        return
    terms = server_settings(settings.webhook, settings.webhook.ssl_cert, settings.webhook.ssl_key)
    load_tls(terms)
    if left is None or (left.listen, left.port) != (terms.listen, terms.port):
        bind(terms).close()
