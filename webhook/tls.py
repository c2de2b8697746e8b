"""Makes TLS contexts of certificate files.

Runs in: master.
"""

import ssl
from pathlib import Path

from brama.config.tls_files import find_certificate_fault, find_key_fault
from brama.errors import ConfigError
from webhook.settings import WebhookServerSettings


def load_tls(settings: WebhookServerSettings) -> ssl.SSLContext | None:
    """Return a context with the files as they are now, None without ``ssl_cert``.

    Raises:
        ConfigError: a file is of no use, in one line.
    """
    cert, key = settings.ssl_cert, settings.ssl_key
    if cert is None or key is None:
        return None
    if fault := find_certificate_fault(cert):
        raise ConfigError(f"webhook.ssl_cert: {fault}")
    if fault := find_key_fault(key, cert):
        raise ConfigError(f"webhook.ssl_key: {fault}")
    return _make_context(cert, key)


def _make_context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # The password is for a key that was replaced since it was looked at: nobody is there to type one.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"webhook.ssl_cert: {cert} changes while it is read ({error}); try again"
        ) from error
    return context
