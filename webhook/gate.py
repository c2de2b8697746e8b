"""Applies the settings that say who may deliver, and how large an update may be.

Runs in: master.
"""

from aiohttp import web
from multidict import istr

from webhook.policy.networks import Address, Mode, Networks
from webhook.settings import WebhookServerSettings

_REAL_IP = istr("X-Real-IP")


class Gate:
    """What is in force at this moment; every request asks anew."""

    def __init__(self, settings: WebhookServerSettings) -> None:
        self.apply(settings)

    def apply(self, settings: WebhookServerSettings) -> None:
        """Put ``settings`` in force, from the next request on."""
        self.max_body_bytes = settings.max_body_bytes
        self.path_prefix = settings.path_prefix
        self._mode = settings.networks
        self._networks = Networks(settings.trusted_proxies, settings.telegram_networks)

    @property
    def checks_networks(self) -> bool:
        """Whether it matters where updates come from."""
        return self._mode != Mode.OFF

    @property
    def shuts_out(self) -> bool:
        """Whether updates from outside of Telegram's networks are refused."""
        return self._mode == Mode.ENFORCE

    def client_of(self, request: web.BaseRequest) -> Address | None:
        """Return who really asks, None if that cannot be told."""
        return self._networks.real_client(request.remote, request.headers.getall(_REAL_IP, ()))

    def is_telegram(self, client: Address | None) -> bool:
        """Return whether ``client`` is in one of Telegram's networks."""
        return self._networks.is_telegram(client)
