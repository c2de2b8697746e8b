"""The webhook server's settings, and the bounds that need none.

Runs in: master.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from brama.config.models import WebhookSection
from brama.config.webhook_address import public_address
from webhook.policy.networks import Mode, Network, parse_networks


@dataclass(frozen=True, slots=True)
class WebhookServerSettings:
    """What an operator decides.

    Attributes:
        port: where the server listens; 0 takes any free one.
        listen: on which address; None: 127.0.0.1, with ``ssl_cert`` every address.
        ssl_cert: absolute; None: plain HTTP, for a proxy in front.
        ssl_key: absolute; there if ``ssl_cert`` is.
        path_prefix: of the public address, as ``/tg``; requests come with it or without.
        max_body_bytes: larger bodies are answered 413.
        trusted_proxies: networks of peers whose X-Real-IP is believed.
        networks: whether updates must come from ``telegram_networks``.
        telegram_networks: where Telegram delivers from.
    """

    port: int
    listen: str | None
    ssl_cert: Path | None
    ssl_key: Path | None
    path_prefix: str
    max_body_bytes: int
    trusted_proxies: tuple[Network, ...]
    networks: Mode
    telegram_networks: tuple[Network, ...]

    @property
    def has_tls(self) -> bool:
        """Whether the server ends TLS itself."""
        return self.ssl_cert is not None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may take, in seconds and in numbers. The defaults suit every deployment.

    Attributes:
        handshake_s: for a TLS handshake.
        head_s: for a request's line and headers, from its first byte, or from the connection's start.
        body_s: for its body.
        idle_s: a connection without a request; longer than the 60 s for which nginx keeps its own, so that no
            request meets a connection that is just being closed.
        unread_s: an answer that the client does not read.
        leftover_s: reading on after an answer that came before the end of the body, so that it is seen.
        shutdown_s: for what is being served when the server is closed.
        hold_s: likewise when it is handed over to the next one, for which others wait already.
        max_connections: those in handshake count too. One more ends the one that has been idle longest.
        max_serving: requests from the right secret to the answer; one more is answered 503.
    """

    handshake_s: float = 10.0
    head_s: float = 10.0
    body_s: float = 10.0
    idle_s: float = 75.0
    unread_s: float = 10.0
    leftover_s: float = 5.0
    shutdown_s: float = 5.0
    hold_s: float = 1.0
    max_connections: int = 4096
    max_serving: int = 1000


def server_settings(
    section: WebhookSection, ssl_cert: Path | None, ssl_key: Path | None
) -> WebhookServerSettings:
    """Return the settings of a configuration's section.

    Args:
        section: ``webhook``, valid.
        ssl_cert: ``webhook.ssl_cert``, absolute.
        ssl_key: ``webhook.ssl_key``, absolute.
    """
    return WebhookServerSettings(
        port=section.port,
        listen=section.listen,
        ssl_cert=ssl_cert,
        ssl_key=ssl_key,
        path_prefix="" if section.host is None else urlsplit(public_address(section.host)).path,
        max_body_bytes=section.max_body_size,
        trusted_proxies=parse_networks(section.trusted_proxies),
        networks=Mode(section.networks),
        telegram_networks=parse_networks(section.telegram_networks),
    )
