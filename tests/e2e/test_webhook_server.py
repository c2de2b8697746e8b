"""The webhook server without a proxy in front: TLS of its own, and a fleet that begins to need it."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from brama.exit_codes import ExitCode
from tests.certificates import make_certificate
from tests.fixtures.fleet import Fleet, new_fleet
from tests.fixtures.sandbox import running_sandbox
from tests.ports import free_port

SECRET = "a-secret-of-the-operator-0123456789"


def shown_certificate(port: int) -> str:
    """Return the certificate that a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=20)


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose webhook server ends TLS, with a certificate that Telegram is handed."""
    first = make_certificate(tmp_path, "first")
    for made, used in ((first.cert, "used.pem"), (first.key, "used.key")):
        shutil.copy(made, tmp_path / used)
    port = free_port()
    webhook = {
        "host": f"https://127.0.0.1:{port}",
        "port": port,
        "listen": "127.0.0.1",
        "secret": SECRET,
        "ssl_cert": str(tmp_path / "used.pem"),
        "ssl_key": str(tmp_path / "used.key"),
        "certificate": str(tmp_path / "used.pem"),
    }
    with (
        running_sandbox() as sandbox,
        new_fleet(tmp_path / "project", sandbox, mode="webhook", webhook=webhook) as fleet,
    ):
        sandbox.control.set_limits(webhook_pause_scale=0.02)
        yield fleet


def test_a_renewed_certificate_is_taken_into_use_and_a_bad_one_is_not(encrypted: Fleet, tmp_path: Path):
    fleet, port = encrypted, encrypted.sections["webhook"]["port"]
    shop = fleet.add("shop")
    fleet.start_and_wait()
    assert shop.ask("hello") == "hello"
    assert shown_certificate(port) == (tmp_path / "first.pem").read_text()
    second = make_certificate(tmp_path, "second")
    shutil.copy(second.cert, tmp_path / "used.pem")
    refused = fleet.run("reload")
    assert refused.returncode == ExitCode.CONFIG
    assert "webhook.ssl_key" in refused.stderr
    assert shown_certificate(port) == (tmp_path / "first.pem").read_text()
    shutil.copy(second.key, tmp_path / "used.key")
    assert fleet.run("reload").returncode == 0
    assert shown_certificate(port) == second.cert.read_text()
    assert shop.ask("hello again") == "hello again"
    info = fleet.sandbox.call(shop.telegram_id, "getWebhookInfo")[1]["result"]
    assert info["has_custom_certificate"]


def test_a_hot_restart_with_its_own_tls_loses_and_repeats_nothing(encrypted: Fleet):
    """TLS cannot be handed over: its connections are ended after an answer, and Telegram opens others."""
    shop = encrypted.add("shop")
    encrypted.start_and_wait()
    assert shop.ask("hello") == "hello"
    shop.send(*map(str, range(100)))
    assert encrypted.run("restart").returncode == 0
    shop.send(*map(str, range(100, 200)))
    assert shop.wait_answers(201, 60.0)[1:] == [str(number) for number in range(200)]
    encrypted.wait_handled("shop")


def test_the_server_starts_with_the_first_bot_that_needs_it(fleet: Fleet):
    shop = fleet.add("shop")
    fleet.start_and_wait()
    assert fleet.status().webhook is None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        webhook = {"host": f"http://127.0.0.1:{port}", "port": port, "secret": SECRET}
        fleet.sections.update(mode="webhook", webhook=webhook)
        fleet.configure()
        refused = fleet.run("reload")
        assert refused.returncode == ExitCode.FAILED
        assert f"webhook.port: 127.0.0.1:{port} is taken by another process" in refused.stderr
        assert fleet.worker("shop").mode == "polling"
    assert fleet.run("reload").returncode == 0
    assert shop.ask("hello") == "hello"
    assert fleet.worker("shop").mode == "webhook"
    webhook_status = fleet.status().webhook
    assert webhook_status is not None
    assert webhook_status.address == f"127.0.0.1:{port}"


def test_a_taken_port_keeps_the_master_from_starting(fleet: Fleet):
    fleet.add("shop")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        webhook = {"host": f"http://127.0.0.1:{port}", "port": port, "secret": SECRET}
        fleet.sections.update(mode="webhook", webhook=webhook)
        fleet.start()
        assert fleet.wait_ended() == ExitCode.FAILED
    assert f"webhook.port: 127.0.0.1:{port} is taken by another process" in fleet.output()
