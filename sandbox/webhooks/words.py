"""What goes wrong on the way to a webhook, in Telegram's words."""

import asyncio
import os
import ssl

import aiohttp

from sandbox.policy.outcome import TIMED_OUT

NO_ANSWER = "Read timeout expired"
CLOSED = "Webhook connection closed"
NO_HTTP = "Wrong response from the webhook"
#: OpenSSL's numbers of what goes wrong most.
CODES = {"CERTIFICATE_VERIFY_FAILED": "0A000086", "WRONG_VERSION_NUMBER": "0A00010B"}


def words_for(error: Exception) -> str:
    """Return what ``getWebhookInfo`` shows for an error of a request to a webhook."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return ssl_words("CERTIFICATE_VERIFY_FAILED")
        case aiohttp.ClientConnectorError():
            return _os_words(error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return CLOSED
        case aiohttp.ConnectionTimeoutError():
            return TIMED_OUT
        case asyncio.TimeoutError():
            return NO_ANSWER
        case OSError():
            return _os_words(error)
        case _:
            return NO_HTTP


def _os_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        # One that OpenSSL did not raise has no such attribute.
        return ssl_words(getattr(error, "reason", None) or "UNKNOWN")
    return os.strerror(error.errno) if error.errno else CLOSED


def ssl_words(reason: str) -> str:
    """Return what is shown for one of OpenSSL's reasons."""
    code = f"{CODES[reason]}:" if reason in CODES else ""
    return f"SSL error {{error:{code}SSL routines::{reason.replace('_', ' ').lower()}}}"
