"""Looks whether files hold a certificate and its key."""

import ssl
from pathlib import Path

#: Larger than any chain of certificates.
_MAX_BYTES = 1024 * 1024
_BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_END_CERTIFICATE = "-----END CERTIFICATE-----"


class _EncryptedError(Exception):
    """The key asks for a passphrase."""


def find_certificate_fault(path: Path) -> str | None:
    """Return why the file at ``path`` is no certificate in PEM, None if it is one."""
    text, fault = _read(path)
    if fault:
        return fault
    begin, end = text.find(_BEGIN_CERTIFICATE), text.find(_END_CERTIFICATE)
    if begin < 0 or end < begin:
        return f"{path} is no certificate in PEM, which has a line {_BEGIN_CERTIFICATE}"
    first = text[begin : end + len(_END_CERTIFICATE)]
    try:
        ssl.create_default_context(cadata=first)
    except (ssl.SSLError, ValueError):
        return f"{path} holds a certificate that cannot be read; make it anew"
    return None


def find_key_fault(path: Path, cert: Path | None) -> str | None:
    """Return why the file at ``path`` is not the key of ``cert``, None if it is.

    Args:
        path: a key in PEM, without a passphrase.
        cert: a certificate in PEM; None: it is not known, so that the key is not compared.
    """
    text, fault = _read(path)
    if fault:
        return fault
    if "PRIVATE KEY-----" not in text:
        return f"{path} is no key in PEM, which has a line -----BEGIN PRIVATE KEY-----"
    if cert is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, path, password=_refuse_passphrase)
    except _EncryptedError:
        return f"{path} is encrypted with a passphrase, which nobody can type here; write the key without one"
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{path} does not belong to ssl_cert {cert}; name the certificate's own key"
        return f"{path} and {cert} cannot be used together ({error.reason or 'unknown'}); make them anew"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None


def _refuse_passphrase() -> str:
    raise _EncryptedError


def _read(path: Path) -> tuple[str, str | None]:
    """Return the text of a file, or why there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        return "", f"{path} cannot be read: {error.strerror}; relative paths start at the project root"
    if len(content) > _MAX_BYTES:
        return "", f"{path} is too large to be PEM"
    return content.decode("ascii", "replace"), None
