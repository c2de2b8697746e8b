"""Certificates made for a test, by openssl."""

from pathlib import Path

from benchmarks import certificates
from benchmarks.certificates import Certificate as Certificate
from tests.programs import find_program


def make_certificate(folder: Path, name: str = "server") -> Certificate:
    """Return a new certificate for 127.0.0.1 and localhost that signs itself, in files of ``folder``."""
    find_program("openssl", package="openssl")
    return certificates.make_certificate(folder, name)
