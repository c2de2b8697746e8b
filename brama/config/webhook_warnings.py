"""Warns of ways to receive updates that are allowed and that an operator may not have meant."""

import ipaddress
from collections.abc import Iterator

from brama.config.hosts import is_loopback
from brama.config.models import WebhookSection

#: A key that takes longer to guess than anybody has.
LONG_KEY_CHARACTERS = 16


def webhook_warnings(webhook: WebhookSection) -> Iterator[str]:
    """Yield a line for each thing worth a second look, of a webhook that is used."""
    secret = webhook.secret
    if secret is not None and len(secret.get_secret_value()) < LONG_KEY_CHARACTERS:
        yield f"webhook.secret is shorter than {LONG_KEY_CHARACTERS} characters and can be guessed"
    is_local = webhook.ssl_cert is None if webhook.listen is None else is_loopback(webhook.listen)
    if not is_local and webhook.ssl_cert is None:
        yield (
            f"webhook.listen: whoever reaches {webhook.listen} talks to the server unencrypted; "
            "set ssl_cert and ssl_key, or write 127.0.0.1 where the proxy runs on this machine"
        )
    if is_local and webhook.networks != "off" and not _trusts_this_machine(webhook):
        fate = "is refused" if webhook.networks == "enforce" else "causes a warning"
        yield (
            f"webhook.networks: every update {fate}: it comes from a proxy on this machine, whose word "
            "counts only if webhook.trusted_proxies has 127.0.0.0/8"
        )
    if webhook.auto_switch and webhook.return_after < webhook.switch_after:
        yield (
            "webhook.return_after is less than switch_after: the webhook is tried again sooner than it is "
            "given up; write 10m"
        )


def _trusts_this_machine(webhook: WebhookSection) -> bool:
    networks = [ipaddress.ip_network(network) for network in webhook.trusted_proxies]
    return any(network.network_address.is_loopback for network in networks) or any(
        ipaddress.ip_address("127.0.0.1") in network for network in networks
    )
