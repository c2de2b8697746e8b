"""What an operator reads of a failed call: words, never a URL, since the token stands in it."""

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from supervisor.http_words import find_proxy, in_words
from supervisor.http_words import is_stray as is_stray_error

TOKEN = "1001:AA" + "testtoken" * 4
ADDRESS = URL(f"https://api.example.org/bot{TOKEN}/getUpdates")
KEY = ConnectionKey("api.example.org", 443, True, True, None, None, None)
REQUEST = RequestInfo(ADDRESS, "POST", CIMultiDictProxy(CIMultiDict()), ADDRESS)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed")
UNTRUSTED.verify_message = "self-signed certificate"
WRONG = ssl.SSLError(1, "wrong version number")


@pytest.mark.parametrize(
    ("error", "words", "is_stray"),
    [
        (
            aiohttp.ClientConnectorDNSError(KEY, UNKNOWN),
            "the name of the server cannot be resolved",
            False,
        ),
        (
            caused(aiohttp.ClientConnectorError(KEY, REFUSED), REFUSED),
            "cannot connect: Connection refused",
            False,
        ),
        (
            caused(aiohttp.ClientConnectorCertificateError(KEY, UNTRUSTED), UNTRUSTED),
            "the server's certificate is not trusted: self-signed certificate",
            False,
        ),
        (
            caused(aiohttp.ClientConnectorSSLError(KEY, WRONG), WRONG),
            "TLS failed: wrong version number",
            False,
        ),
        (
            aiohttp.ClientProxyConnectionError(KEY, REFUSED),
            "the proxy does not let the connection through",
            False,
        ),
        (aiohttp.ConnectionTimeoutError(f"to {ADDRESS}"), "cannot connect: timed out", False),
        (aiohttp.ServerDisconnectedError(), "the connection was closed without an answer", True),
        (
            aiohttp.ClientOSError(errno.ECONNRESET, f"{ADDRESS}"),
            "the connection was closed without an answer",
            True,
        ),
        (ConnectionResetError(), "the connection was closed without an answer", True),
        (aiohttp.ClientPayloadError(f"{ADDRESS}"), "the answer broke off", False),
        (aiohttp.ClientResponseError(REQUEST, (), message=str(ADDRESS)), "the answer is not HTTP", False),
        (TimeoutError(str(ADDRESS)), "timed out", False),
        (aiohttp.InvalidURL(ADDRESS), "the call failed (InvalidURL)", False),
        (OSError(errno.EMFILE, "Too many open files"), "the call failed (OSError)", False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_in_words(error: Exception, words: str, is_stray: bool):
    told = in_words(error)
    assert (told, is_stray_error(error)) == (words, is_stray)
    assert TOKEN not in told


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert find_proxy("https://api.example.org") == (None, None)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example.org:3128")
    proxy, credentials = find_proxy("https://api.example.org")
    assert str(proxy) == "http://proxy.example.org:3128"
    assert credentials is not None
    assert credentials.login == "user"
    assert find_proxy("http://api.example.org") == (None, None)
    monkeypatch.setenv("NO_PROXY", "api.example.org")
    assert find_proxy("https://api.example.org") == (None, None)
