"""Certificates and keys as openssl makes them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from brama.config.tls_files import find_certificate_fault, find_key_fault

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(
    OPENSSL is None and not os.environ.get("CI"), reason="openssl is not installed"
)


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.pem, a.key, b.pem, b.key, and a.key under a passphrase as locked.key."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("a", "b"):
        kind = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
        openssl("req", "-x509", "-newkey", *kind, *files, "-subj", "/CN=bots.example.com")
    locked = ("-aes256", "-passout", "pass:word", "-out", folder / "locked.key")
    openssl("pkey", "-in", folder / "a.key", *locked)
    return folder


def test_a_pair_that_belongs_together(made: Path):
    assert find_certificate_fault(made / "a.pem") is None
    assert find_key_fault(made / "a.key", made / "a.pem") is None


def test_both_in_one_file(made: Path):
    together = made / "together.pem"
    together.write_text((made / "a.key").read_text() + (made / "a.pem").read_text())
    assert find_certificate_fault(together) is None
    assert find_key_fault(together, together) is None


def test_a_chain(made: Path):
    chain = made / "chain.pem"
    chain.write_text((made / "a.pem").read_text() + (made / "b.pem").read_text())
    assert find_certificate_fault(chain) is None
    assert find_key_fault(made / "a.key", chain) is None


def test_another_key(made: Path):
    fault = find_key_fault(made / "b.key", made / "a.pem")
    assert fault == (f"{made}/b.key does not belong to ssl_cert {made}/a.pem; name the certificate's own key")


def test_a_key_under_a_passphrase_asks_nobody(made: Path):
    fault = find_key_fault(made / "locked.key", made / "a.pem")
    assert fault is not None
    assert "is encrypted with a passphrase" in fault
    assert "write the key without one" in fault


def test_the_one_in_place_of_the_other(made: Path):
    for fault, kind in (
        (find_certificate_fault(made / "a.key"), "certificate"),
        (find_key_fault(made / "a.pem", made / "a.pem"), "key"),
    ):
        assert fault is not None
        assert f"is no {kind} in PEM" in fault


def test_a_key_that_is_cut(made: Path):
    lines = (made / "a.key").read_text().splitlines()
    cut = made / "cut.key"
    cut.write_text("\n".join(lines[:1] + lines[2:]))
    fault = find_key_fault(cut, made / "a.pem")
    assert fault is not None
    assert "cannot be used together" in fault
    assert find_key_fault(cut, None) is None


def test_a_certificate_in_binary_form(made: Path):
    binary = made / "a.der"
    openssl("x509", "-in", made / "a.pem", "-outform", "DER", "-out", binary)
    fault = find_certificate_fault(binary)
    assert fault is not None
    assert "is no certificate in PEM" in fault
