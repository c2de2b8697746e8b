"""Lets all httpx clients that ask for default TLS settings share one context, built before the fork.

Loading the certificate authorities costs 2.4 MB and 10 ms for each context, and httpx builds one for each
client: two for each bot.

Runs in: zygote | worker.
"""

import os
import ssl
from collections.abc import Callable
from typing import Any

import httpx
from httpx._transports import default as transports

_contexts: dict[tuple[str, str, str], ssl.SSLContext] = {}
_original: Callable[..., ssl.SSLContext] = httpx.create_ssl_context


def share_context() -> None:
    """Replace what httpx's transports build their context with, and build the shared one.

    ``httpx.create_ssl_context``, which bot code may call to change what it gets, stays as it is.
    """
    transports.create_ssl_context = _default_or_own  # type: ignore[attr-defined]
    _default_or_own()


def _default_or_own(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    """Return the shared context for default arguments under this environment, else a new one."""
    if verify is not True or cert is not None:
        return _original(verify=verify, cert=cert, trust_env=trust_env)
    key = _environment(trust_env)
    if key not in _contexts:
        _contexts[key] = _original(trust_env=trust_env)
    return _contexts[key]


def _environment(trust_env: bool) -> tuple[str, str, str]:
    """Return all variables that decide what a default context is."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ("", "")
    file, folder = (os.environ.get(name, "") for name in names)
    return file, folder, os.environ.get("SSLKEYLOGFILE", "")
