"""What webhook.host may be, and the address that Telegram is given of it."""

import pytest

from brama.config.webhook_address import find_address_fault, public_address

OFFICIAL = "https://api.telegram.org"
LOCAL = "http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("bots.example.com", "https://bots.example.com"),
        ("https://bots.example.com/", "https://bots.example.com"),
        ("bots.example.com:8443/tg", "https://bots.example.com:8443/tg"),
        ("HTTPS://bots.example.com:88/a/b//", "https://bots.example.com:88/a/b"),
        ("bots.example.com:/tg", "https://bots.example.com/tg"),
        ("93.184.216.34:443", "https://93.184.216.34:443"),
        ("http://127.0.0.1:8443", "http://127.0.0.1:8443"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
    ],
)
def test_the_address_is_whole_and_has_no_slash_at_its_end(host: str, address: str):
    assert public_address(host) == address
    assert public_address(public_address(host)) == address


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("ftp://bots.example.com", "is not an https address; write https://bots.example.com"),
        ("https://", "is not an https address"),
        ("/tg", "is not an https address"),
        ("bots_example", "is not an https address"),
        ("bots.example.com:port", "is not an address: Port could not be cast"),
        ("bots.example.com:99999", "is not an address: Port out of range"),
        ("bots.example.com:0", "has port 0"),
        ("https://[::1", "is not an address: Invalid IPv6 URL"),
        ("https://h/a?b=c", "has a ? or #; write the address alone"),
        ("https://h/#", "has a ? or #"),
        ("https://h/?", "has a ? or #"),
        ("bots.example.com /tg", "is not an address in plain characters"),
        ("https://h\\x", "is not an address in plain characters"),
        ("bücher.example.com", "is not an address in plain characters"),
    ],
)
def test_what_is_no_address_is_refused_in_words(host: str, words: str):
    with pytest.raises(ValueError, match="write") as caught:
        public_address(host)
    assert str(caught.value).startswith(f'"{host}" {words}')
    assert find_address_fault(host, LOCAL) == find_address_fault(host, OFFICIAL) == str(caught.value)


def test_a_password_is_not_shown():
    fault = find_address_fault("https://anna:hush@bots.example.com", OFFICIAL)
    assert fault is not None
    assert fault.startswith("holds a user or password")
    assert "hush" not in fault


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (
            "http://bots.example.com:8443",
            "is not https, and Telegram delivers to nothing else; write https://b",
        ),
        (
            "https://bots.example.com:3000",
            "has port 3000, and Telegram delivers to 443, 80, 88 and 8443 alone",
        ),
        ("https://[2001:db8::1]", "is IPv6, to which Telegram does not deliver"),
        ("localhost:8443", "cannot be reached by Telegram; write the public address"),
        ("127.0.0.1", "cannot be reached by Telegram"),
        ("10.0.0.7:8443", "cannot be reached by Telegram"),
    ],
)
def test_a_bot_api_server_of_ones_own_takes_what_telegram_does_not(host: str, words: str):
    fault = find_address_fault(host, OFFICIAL)
    assert fault is not None
    assert fault.startswith(f'"{host}" {words}')
    assert find_address_fault(host, "https://API.telegram.org./") == fault
    assert find_address_fault(host, LOCAL) is None


@pytest.mark.parametrize("port", [443, 80, 88, 8443])
def test_telegrams_ports(port: int):
    assert find_address_fault(f"bots.example.com:{port}/tg", OFFICIAL) is None
    assert find_address_fault("bots.example.com", OFFICIAL) is None
