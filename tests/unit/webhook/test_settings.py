"""The server's settings, of the configuration's section."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from brama.config.models import WebhookSection
from webhook.policy.networks import Mode
from webhook.settings import Bounds, server_settings

#: nginx keeps a connection that nobody uses for so long.
NGINX_KEEPS_S = 60.0


def test_the_defaults_are_for_a_proxy_on_this_machine():
    made = server_settings(WebhookSection(), None, None)
    assert (made.port, made.listen, made.has_tls, made.path_prefix) == (8443, None, False, "")
    assert (made.max_body_bytes, made.networks) == (1024 * 1024, Mode.OFF)
    assert made.trusted_proxies == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert ip_network("149.154.160.0/20") in made.telegram_networks


def test_files_and_networks_are_taken_over():
    section = WebhookSection.model_validate({"networks": "enforce", "telegram_networks": ["10.0.0.0/8"]})
    made = server_settings(section, Path("/etc/cert.pem"), Path("/etc/key.pem"))
    assert (made.ssl_cert, made.ssl_key, made.has_tls) == (Path("/etc/cert.pem"), Path("/etc/key.pem"), True)
    assert (made.networks, made.telegram_networks) == (Mode.ENFORCE, (ip_network("10.0.0.0/8"),))


@pytest.mark.parametrize(
    ("host", "prefix"),
    [
        ("https://bots.example.com", ""),
        ("https://bots.example.com/", ""),
        ("https://bots.example.com:8443/tg/", "/tg"),
        ("bots.example.com/a/b", "/a/b"),
    ],
)
def test_the_path_of_the_public_address_is_a_prefix(host, prefix):
    section = WebhookSection.model_validate({"host": host})
    assert server_settings(section, None, None).path_prefix == prefix


def test_idle_connections_are_kept_longer_than_a_proxy_keeps_them():
    assert Bounds().idle_s > NGINX_KEEPS_S
