"""Which addresses may be called back, and in how many ways others are tried."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.llm.policy.callback_url import Refused, Target, judge_address, judge_url, parse_hosts

ALLOWED = parse_hosts(
    [
        "backend:5000",
        "http://127.0.0.1:5000",
        "https://api.example.com/base",
        "http://plain.example.com",
        "[2001:db8::1]:5000",
        "under_score.svc:80",
    ]
)


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("http://backend:5000/api/callbacks/1", "http://backend:5000/api/callbacks/1"),
        ("HTTP://BACKEND:5000/A", "http://backend:5000/A"),
        ("http://backend:5000", "http://backend:5000/"),
        ("http://backend:5000?a=1", "http://backend:5000/?a=1"),
        ("http://backend:5000/a/../b%2f?c=%20#", None),
        ("http://backend:5000/a/../b%2f?c=%20", "http://backend:5000/a/../b%2f?c=%20"),
        ("https://backend:5000/", "https://backend:5000/"),
        ("https://api.example.com/x", "https://api.example.com:443/x"),
        ("https://api.example.com:443/x", "https://api.example.com:443/x"),
        ("http://plain.example.com:80", "http://plain.example.com:80/"),
        ("http://[2001:0db8:0:0::1]:5000/", "http://[2001:db8::1]:5000/"),
        ("http://[2001:DB8::1]:5000/", "http://[2001:db8::1]:5000/"),
        ("http://under_score.svc", "http://under_score.svc:80/"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000/"),
        # other ports, which another scheme's default may be
        ("http://api.example.com/", None),
        ("http://backend/", None),
        ("http://backend:5001/", None),
        ("http://backend:05000/", None),
        ("http://backend:/", None),
        ("http://backend:0/", None),
        ("http://backend:65536/", None),
        ("http://backend:+5000/", None),
        ("http://backend:5000:5000/", None),
        ("http://backend:5 000/", None),
        ("http://backend:\u0665\u0660\u0660\u0660/", None),
        # user names, and what only looks like a host
        ("http://user@backend:5000/", None),
        ("http://backend:5000@evil.example/", None),
        ("http://backend:5000@169.254.169.254/", None),
        ("http://@backend:5000/", None),
        ("http://evil.example#@backend:5000/", None),
        ("http://evil.example\\@backend:5000/", None),
        ("http://backend:5000\\.evil.example/", None),
        ("http://evil.example/?http://backend:5000/", None),
        ("http://backend:5000.evil.example/", None),
        # fragments
        ("http://backend:5000/#x", None),
        ("http://backend:5000#", None),
        # the same address in other words
        ("http://2130706433:5000/", None),
        ("http://0x7f000001:5000/", None),
        ("http://0x7f.0.0.1:5000/", None),
        ("http://0177.0.0.1:5000/", None),
        ("http://127.1:5000/", None),
        ("http://127.0.1:5000/", None),
        ("http://127.0.0.01:5000/", None),
        ("http://127.0.0.1.:5000/", None),
        ("http://127.0.0.2:5000/", None),
        ("http://0:5000/", None),
        ("http://0.0.0.0:5000/", None),
        ("http://localhost:5000/", None),
        ("http://[::1]:5000/", None),
        ("http://[::ffff:127.0.0.1]:5000/", None),
        ("http://[::ffff:7f00:1]:5000/", None),
        ("http://[::127.0.0.1]:5000/", None),
        ("http://[64:ff9b::7f00:1]:5000/", None),
        ("http://[fe80::1%eth0]:5000/", None),
        ("http://[2001:db8::1%25eth0]:5000/", None),
        ("http://[2001:db8::1]x:5000/", None),
        ("http://[2001:db8::1:5000/", None),
        ("http://2001:db8::1:5000/", None),
        ("http://[127.0.0.1]:5000/", None),
        ("http://①②⑦.⓪.⓪.①:5000/", None),
        ("http://127。0。0。1:5000/", None),
        ("http://%62ackend:5000/", None),
        ("http://127.0.0.1%2f@x:5000/", None),
        ("http://169.254.169.254/latest/meta-data/", None),
        # names in other words
        ("http://backend.:5000/", None),
        ("http://.backend:5000/", None),
        ("http://backend..svc:5000/", None),
        ("http://-backend:5000/", None),
        ("http://b\u0430ckend:5000/", None),  # a Cyrillic letter
        ("http://\uff42ackend:5000/", None),
        ("http://xn--bckend-6nf:5000/", None),
        ("http://backend.evil.example:5000/", None),
        # other schemes, and none
        ("ftp://backend:5000/", None),
        ("file:///etc/passwd", None),
        ("gopher://backend:5000/", None),
        ("javascript:alert(1)", None),
        ("//backend:5000/", None),
        ("backend:5000/", None),
        ("http:/backend:5000/", None),
        ("http:backend:5000/", None),
        ("http:///backend:5000/", None),
        ("http://", None),
        ("http://:5000/", None),
        ("", None),
        # what would end a line of the request, or be read in another way by the next server
        ("http://backend:5000/a b", None),
        ("http://backend:5000/a\r\nX-Evil: 1", None),
        ("http://backend:5000/a\n", None),
        ("http://backend:5000/\x00", None),
        ("http://backend:5000/\\evil.example", None),
        ("http://backend:5000/ü", None),
        ("http://backend:5000/%zz", None),
        (" http://backend:5000/", None),
        ("http://backend:5000/ ", None),
        ("http://back\tend:5000/", None),
        ("http://backend:5000/" + "a" * 2048, None),
    ],
)
def test_which_addresses_are_called_back(text: str, called: str | None):
    found = judge_url(text, ALLOWED)
    if called is None:
        assert isinstance(found, Refused)
        assert found.reason
        assert "\n" not in found.reason
    else:
        assert isinstance(found, Target)
        assert found.url == called


@given(st.text(max_size=60), st.sampled_from(["", "http://", "http://backend:5000", "http://backend:5000/"]))
def test_whatever_is_called_is_on_the_list(text: str, start: str):
    found = judge_url(start + text, ALLOWED)
    if isinstance(found, Target):
        assert (found.host, found.port) in ALLOWED
        assert judge_url(found.url, ALLOWED) == found
        assert found.url.isascii()
        assert found.url.isprintable()


def test_a_refusal_says_what_is_allowed():
    found = judge_url("http://evil.example/", parse_hosts(["backend:5000", "[::1]:80"]))
    assert found == Refused(
        "leads to evil.example:80, which may not be called back; allowed: [::1]:80, backend:5000"
    )
    nobody = judge_url("http://evil.example/", frozenset())
    assert isinstance(nobody, Refused)
    assert "none; set jobs.backend.callback_hosts" in nobody.reason


@pytest.mark.parametrize(
    "entry", ["backend", "", "backend:x", "ftp://backend:5000", "u@backend:5000", "1:2:3", "::1", "backend:0"]
)
def test_a_host_of_the_list_must_be_one(entry: str):
    with pytest.raises(ValueError, match="is no host with a port; write backend:5000"):
        parse_hosts([entry])


@pytest.mark.parametrize(
    ("host", "address", "is_called"),
    [
        ("backend", "10.0.0.7", True),
        ("backend", "127.0.0.1", True),
        ("backend", "93.184.216.34", True),
        ("backend", "fd00::7", True),
        ("backend", "::1", True),
        ("backend", "169.254.169.254", False),
        ("backend", "::ffff:169.254.169.254", False),
        ("backend", "64:ff9b::a9fe:a9fe", False),
        ("backend", "2002:a9fe:a9fe::1", False),
        ("backend", "fe80::1", False),
        ("backend", "0.0.0.0", False),
        ("backend", "::", False),
        ("backend", "::ffff:0.0.0.0", False),
        ("backend", "224.0.0.1", False),
        ("backend", "ff02::1", False),
        ("backend", "255.255.255.255", False),
        ("169.254.1.1", "169.254.1.1", True),
    ],
)
def test_to_which_addresses_a_host_may_lead(host: str, address: str, is_called: bool):
    reason = judge_address(host, address)
    assert (reason is None) is is_called
    assert is_called or (reason is not None and address in reason)
