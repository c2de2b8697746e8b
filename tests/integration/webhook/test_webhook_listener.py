"""Addresses that are to be had, and those that are not."""

import socket

import pytest

from brama.errors import BramaError
from tests.certificates import make_certificate
from tests.integration.webhook.stage import FakeDoor, post, settings
from webhook.listener import bind
from webhook.policy.networks import Mode
from webhook.server import WebhookServer


def refusal(**changes: object) -> str:
    """Return why a server cannot bind."""
    with pytest.raises(BramaError) as caught:
        WebhookServer(FakeDoor(), settings(**changes), api_token=None).bind()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_taken_port_is_named_with_the_way_out():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refusal(port=port)
    assert said.startswith(
        f"webhook.port: 127.0.0.1:{port} is taken by another process; set another webhook.port"
    )
    assert f"ss -ltnp 'sport = :{port}'" in said


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid", "2001:db8::1"])
def test_an_address_of_another_machine_is_named(host):
    assert refusal(listen=host).startswith(f'webhook.listen: "{host}" is no address of this machine')


def test_a_proxy_is_on_this_machine_unless_told_otherwise():
    with bind(settings(listen=None)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_with_tls_every_address_is_served(tmp_path):
    made = make_certificate(tmp_path)
    with bind(settings(listen=None, ssl_cert=made.cert, ssl_key=made.key)) as listener:
        port = listener.getsockname()[1]
        assert listener.getsockname()[0] in {"::", "0.0.0.0"}
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            accepted, peer = accept(listener)
            accepted.close()
            assert "127.0.0.1" in peer[0]


def accept(listener: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
    listener.setblocking(True)
    return listener.accept()


async def test_an_ipv4_client_of_every_address_is_known_by_its_own(serve):
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    stage = await serve(listen="::", networks=Mode.ENFORCE)
    assert (await stage.ask(post(b"{}", "X-Real-IP: 91.108.4.9"))).status == 200
    assert (await stage.ask(post(b"{}"))).status == 401


async def test_an_address_is_known_once_it_is_bound():
    server = WebhookServer(FakeDoor(), settings(), api_token=None)
    with pytest.raises(RuntimeError):
        _ = server.address
    server.bind()
    host, port = server.address
    assert host == "127.0.0.1"
    assert port > 0
    await server.aclose()
    with socket.socket() as successor:
        successor.bind((host, port))
