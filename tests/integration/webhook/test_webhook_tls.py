"""The server as the end of TLS."""

import asyncio
import shutil
import ssl
import warnings

import pytest

from brama.errors import ConfigError
from tests.certificates import Certificate, make_certificate
from tests.integration.webhook.stage import post, settings, tls_settings
from tests.waiting import await_until
from webhook.settings import Bounds


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return {name: make_certificate(folder, name) for name in ("old", "new")}


@pytest.fixture
def files(made, tmp_path):
    """The files that the server is told of, holding the old certificate."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(made["old"].cert, cert)
    shutil.copy(made["old"].key, key)
    return cert, key


def trusting(*certificates: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for certificate in certificates:
        context.load_verify_locations(certificate.cert)
    return context


async def shown(stage, made) -> str:
    """Return the name in the certificate that a new connection is shown."""
    client = await stage.connect(trusting(*made.values()))
    assert (await client.ask(post())).status == 200
    subject = client.writer.get_extra_info("peercert")["subject"]
    return str(next(value for rdn in subject for name, value in rdn if name == "commonName"))


async def test_updates_come_by_tls(serve, door, files, made):
    stage = await serve(**tls_settings(*files))
    client = await stage.connect(trusting(made["old"]))
    for _ in range(3):
        assert (await client.ask(post())).status == 200
    assert len(door.taken) == 3
    assert client.writer.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_both_versions_of_tls_are_spoken(serve, files, made, version):
    stage = await serve(**tls_settings(*files))
    context = trusting(made["old"])
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    assert (await (await stage.connect(context)).ask(post())).status == 200


async def test_older_versions_of_tls_are_not(serve, files, made, capsys, caplog):
    stage = await serve(**tls_settings(*files))
    context = trusting(made["old"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await stage.connect(context)
    assert await shown(stage, made) == "old"
    assert capsys.readouterr().out + caplog.text == ""


async def test_a_renewed_certificate_is_shown_to_newcomers(serve, files, made):
    stage = await serve(**tls_settings(*files))
    early = await stage.connect(trusting(made["old"]))
    assert (await early.ask(post())).status == 200
    shutil.copy(made["new"].cert, files[0])
    shutil.copy(made["new"].key, files[1])
    assert await shown(stage, made) == "old"
    stage.server.reconfigure(settings(**tls_settings(*files)))
    assert await shown(stage, made) == "new"
    assert (await early.ask(post())).status == 200


async def test_settings_may_name_other_files(serve, files, made):
    stage = await serve(**tls_settings(*files))
    stage.server.reconfigure(settings(**tls_settings(made["new"].cert, made["new"].key)))
    assert await shown(stage, made) == "new"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda cert, key, made: shutil.copy(made["new"].cert, cert), "does not belong to"),
        (lambda cert, key, made: cert.write_text("nonsense"), "cert.pem is no certificate"),
        (lambda cert, key, made: key.write_text("nonsense"), "key.pem is no key"),
        (lambda cert, key, made: key.unlink(), "key.pem cannot be read: No such file"),
        (lambda cert, key, made: cert.write_bytes(cert.read_bytes()[:200]), "cert.pem is no certificate"),
    ],
)
async def test_a_bad_pair_changes_nothing(serve, files, made, damage, said):
    stage = await serve(**tls_settings(*files))
    damage(*files, made)
    with pytest.raises(ConfigError) as caught:
        stage.server.reconfigure(settings(**tls_settings(*files)))
    assert said in str(caught.value)
    assert str(caught.value).startswith("webhook.ssl_")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError):
        stage.server.reconfigure(settings(**tls_settings(*files), max_body_bytes=1))
    assert await shown(stage, made) == "old"


async def test_a_server_with_a_bad_pair_does_not_start(serve, files, made):
    shutil.copy(made["new"].key, files[1])
    with pytest.raises(ConfigError, match=r"^webhook\.ssl_key: "):
        await serve(**tls_settings(*files))


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x00" * 5000])
async def test_a_client_that_cannot_shake_hands_is_left(serve, files, made, capsys, caplog, sent):
    stage = await serve(Bounds(handshake_s=0.2), **tls_settings(*files))
    client = await stage.connect()
    client.send(sent)
    await client.rest()
    assert await shown(stage, made) == "old"
    assert capsys.readouterr().out + caplog.text == ""


async def test_handshakes_count_as_connections(serve, files, made):
    stage = await serve(Bounds(max_connections=2, handshake_s=0.2), **tls_settings(*files))
    silent = [await stage.connect() for _ in range(2)]
    late = await stage.connect()
    assert await late.rest() == b""
    for client in silent:
        await client.rest()
    assert await shown(stage, made) == "old"


async def test_closing_ends_handshakes(serve, files):
    stage = await serve(**tls_settings(*files))
    silent = await stage.connect()
    await await_until(lambda: stage.server.stats().connections)
    async with asyncio.timeout(20):
        await stage.server.aclose()
    assert await silent.rest() == b""
