"""One TLS context for clients with default settings, and none other."""

import ssl

import certifi
import httpx
import pytest
from httpx._transports import default as transports

from bot_worker import tls


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The context is shared, in this test only."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tls, "_contexts", {})
    monkeypatch.setattr(transports, "create_ssl_context", httpx.create_ssl_context)
    tls.share_context()


def _context(**settings: object) -> ssl.SSLContext:
    transport = httpx.AsyncHTTPTransport(**settings)  # type: ignore[arg-type]
    context = transport._pool._ssl_context
    assert isinstance(context, ssl.SSLContext)
    return context


def test_default_clients_share_one():
    assert _context() is _context() is _context(trust_env=False, http2=False)
    assert _context().verify_mode is ssl.CERT_REQUIRED
    assert _context().check_hostname


def test_clients_under_another_environment_share_another(monkeypatch):
    plain = _context()
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    own = _context()
    assert own is not plain
    assert own is _context()
    assert _context(trust_env=False) is plain
    monkeypatch.delenv("SSL_CERT_FILE")
    assert _context() is plain


@pytest.mark.parametrize("settings", [{"verify": False}, {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}])
def test_own_settings_get_an_own_context(settings):
    context = _context(**settings)
    assert context is not _context()
    if settings["verify"]:
        assert context is settings["verify"]
    else:
        assert context.verify_mode is ssl.CERT_NONE


def test_the_public_function_gives_a_context_to_change():
    assert httpx.create_ssl_context() is not _context()
