"""Whose certificate a webhook may show."""

import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any


class _CheckedAsName(ssl.SSLObject):
    """Takes an IP address for a name, as Telegram does when a certificate was uploaded for it.

    Such certificates say the address as their common name, where an address is not looked for by itself.
    """

    def do_handshake(self) -> None:
        super().do_handshake()
        certificate = self.getpeercert() or {}
        if self.server_hostname not in _names(certificate):
            raise ssl.SSLCertVerificationError(1, f"the certificate is not of {self.server_hostname}")


def _names(certificate: Any) -> list[str]:
    names = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    return names or [str(value) for name, value in subject if name == "commonName"]


def load_roots(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts a file of root certificates, the system's roots if it is None.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    context = _context()
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    return context


def trust(certificate: str, host: str) -> ssl.SSLContext:
    """Return a context that trusts an uploaded certificate alone.

    Args:
        certificate: PEM text.
        host: of the webhook's address.

    Raises:
        OSError: it is no certificate.
    """
    context = _context()
    try:
        context.load_verify_locations(cadata=certificate)
    except (TypeError, ValueError):
        raise ssl.SSLError("not a certificate") from None
    if is_address(host):
        context.check_hostname = False
        context.sslobject_class = _CheckedAsName
    return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
