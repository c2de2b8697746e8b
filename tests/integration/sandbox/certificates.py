"""Certificates made for one test run with the ``openssl`` command."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.programs import find_program


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    path: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """Return the context of a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context


@dataclass(frozen=True)
class Authority:
    """A private certificate authority in a folder."""

    folder: Path
    root: Certificate

    def issue(self, name: str, *alternatives: str) -> Certificate:
        """Return a certificate of the common name ``name`` and alternatives like ``DNS:localhost``."""
        made = _files(self.folder, f"issued-{len(list(self.folder.iterdir()))}")
        signed = ("-CA", str(self.root.path), "-CAkey", str(self.root.key))
        _make(made, name, alternatives, *signed)
        return made


def make_authority(folder: Path) -> Authority:
    """Return a fresh authority."""
    root = _files(folder, "root")
    _make(root, "Sandbox Test Root", ())
    return Authority(folder, root)


def make_self_signed(folder: Path, name: str, *alternatives: str) -> Certificate:
    """Return a certificate that is its own root."""
    made = _files(folder, f"self-signed-{len(list(folder.iterdir()))}")
    _make(made, name, alternatives)
    return made


def _files(folder: Path, name: str) -> Certificate:
    return Certificate(folder / f"{name}.pem", folder / f"{name}.key")


def _make(made: Certificate, name: str, alternatives: tuple[str, ...], *signed: str) -> None:
    command = [find_program("openssl", package="openssl"), "req", "-x509", "-nodes", "-days", "2"]
    # A curve makes keys in no time.
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *signed]
    command += ["-keyout", str(made.key), "-out", str(made.path), "-subj", f"/CN={name}"]
    if alternatives:
        command += ["-addext", f"subjectAltName={','.join(alternatives)}"]
    if signed:
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
