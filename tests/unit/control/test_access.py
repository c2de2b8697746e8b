"""Who may do what over TCP."""

import pytest

from supervisor.control.policy.access import Request, decide_access, is_loopback

TOKEN = "a-long-api-token-made-for-this-test"


def request(**changes: object) -> Request:
    plain: dict[str, object] = {
        "is_reading": True,
        "peer": "127.0.0.1",
        "host": "127.0.0.1:3001",
        "origin": None,
        "authorization": None,
    }
    return Request(**(plain | changes))  # type: ignore[arg-type]


def refused_with(asked: Request, token: str | None = TOKEN, api_host: str = "127.0.0.1") -> int | None:
    refusal = decide_access(asked, token, api_host)
    return refusal.status if refusal else None


@pytest.mark.parametrize(
    "host", ["127.0.0.1:3001", "localhost:3001", "localhost", "[::1]:3001", "10.0.0.7:3001"]
)
def test_reading_is_open_on_this_machine(host):
    assert refused_with(request(host=host)) is None
    assert refused_with(request(host=host), token=None) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3001", "127.0.0.1.evil.example", "", "[::1", "a b"]
)
def test_a_rebound_name_reads_nothing(host):
    assert refused_with(request(host=host)) == 403


def test_the_configured_name_is_served():
    assert refused_with(request(host="bots.internal:3001"), api_host="bots.internal") is None


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://127.0.0.1:3001", "http://127.0.0.1:8081", "null"]
)
def test_a_page_of_another_origin_gains_nothing(origin):
    assert refused_with(request(origin=origin)) == 403
    assert refused_with(request(origin=origin, is_reading=False), token=None) == 403


def test_a_page_of_the_same_origin_may_read():
    assert refused_with(request(origin="http://127.0.0.1:3001")) is None


def test_changes_need_the_token_even_on_this_machine():
    assert refused_with(request(is_reading=False)) == 401
    assert refused_with(request(is_reading=False, authorization=f"Bearer {TOKEN}")) is None


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"],
)
def test_anything_but_the_token_is_refused(authorization):
    assert refused_with(request(is_reading=False, authorization=authorization)) == 401


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("authorization", [None, "Bearer ", "Bearer x"])
def test_without_a_configured_token_nothing_can_be_changed(token, authorization):
    refusal = decide_access(request(is_reading=False, authorization=authorization), token, "127.0.0.1")
    assert refusal is not None
    assert refusal.status == 403
    assert "api.token" in refusal.text


def test_other_machines_read_with_the_token_only():
    assert refused_with(request(peer="10.0.0.9", host="10.0.0.7:3001")) == 401
    allowed = request(peer="10.0.0.9", host="bots.example", authorization=f"bearer {TOKEN}")
    assert refused_with(allowed) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(host, expected):
    assert is_loopback(host) is expected
