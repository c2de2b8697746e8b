"""Says in words what went wrong with an HTTP call of the master's, and finds the proxy it goes by.

aiohttp puts URLs into the texts of its errors, and URLs may hold tokens: no text of an exception is shown.

Runs in: master.
"""

import aiohttp
from aiohttp.helpers import get_env_proxy_for_url
from aiohttp.typedefs import StrOrURL
from yarl import URL


def in_words(error: Exception) -> str:
    """Return what happened, without any text that may hold a URL."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the name of the server cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the server's certificate is not trusted{_reason(error)}"
        case aiohttp.ClientSSLError():
            return f"TLS failed{_reason(error)}"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "the proxy does not let the connection through"
        case aiohttp.ClientConnectorError():
            return f"cannot connect{_reason(error)}"
        case aiohttp.ConnectionTimeoutError():
            return "cannot connect: timed out"
        case aiohttp.ServerDisconnectedError() | ConnectionError() | aiohttp.ClientOSError():
            return "the connection was closed without an answer"
        case aiohttp.ClientPayloadError():
            return "the answer broke off"
        case aiohttp.ClientResponseError():
            return "the answer is not HTTP"
        case TimeoutError():
            return "timed out"
    return f"the call failed ({type(error).__name__})"


def is_stray(error: Exception) -> bool:
    """Return whether the connection ended as an idle one may."""
    is_known = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError)
    ended = aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError
    return isinstance(error, ended) and not is_known


def find_proxy(url: str) -> tuple[StrOrURL | None, aiohttp.BasicAuth | None]:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY ask for."""
    try:
        return get_env_proxy_for_url(URL(url))
    except LookupError:
        return None, None


def _reason(error: Exception) -> str:
    """Return the operating system's or TLS library's words for ``error``, which know no URL."""
    cause = error.__cause__ or getattr(error, "os_error", None)
    words = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return f": {words}" if words else ""
