"""What a webhook should be, what Telegram says it is, and where bots are reached."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.ids import BotId, TelegramId
from supervisor.updates.policy.hook_info import (
    ERROR_MEMORY_S,
    SKEW_S,
    Facts,
    Hook,
    Info,
    Record,
    describe_trouble,
    is_unreachable,
    kinds,
    read_info,
    read_record,
    shown_error,
    write_record,
)
from supervisor.updates.policy.webhook_address import address_of, secret_of

NOW_UTC = 1_700_000_000.0
HOOK = Hook("https://bots.example.com/webhook/shop", "secret", 40, ("message", "poll"), b"PEM")


def failing(ago_s: float, pending: int = 3) -> Info:
    """Return what Telegram says of a delivery that failed ``ago_s`` ago."""
    date = int(NOW_UTC - ago_s)
    return Info(pending_update_count=pending, last_error_date=date, last_error_message="Connection timed out")


# --- what Telegram says -----------------------------------------------------------------------


def test_a_webhook_info_is_read_whatever_else_it_holds():
    info = read_info(
        b'{"url":"https://a.example.com/x","has_custom_certificate":true,"pending_update_count":7,'
        b'"ip_address":"192.0.2.1","max_connections":40,"allowed_updates":["poll","message"],'
        b'"last_error_date":17,"last_error_message":"no","last_synchronization_error_date":3}'
    )
    assert info == Info("https://a.example.com/x", True, 7, 40, ("poll", "message"), 17, "no")
    assert info is not None
    assert info.facts == Facts("https://a.example.com/x", 40, ("message", "poll"), True)


def test_a_webhook_that_is_not_set_is_read():
    raw = b'{"url":"","has_custom_certificate":false,"pending_update_count":0}'
    assert read_info(raw) == Info()


@pytest.mark.parametrize("raw", [b"", b"true", b"[]", b'{"url":7}', b"{"])
def test_something_else_than_a_webhook_info_is_none(raw: bytes):
    assert read_info(raw) is None


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 update waits there"), (12, "12 updates wait there"), (0, "0 updates wait")]
)
def test_trouble_is_one_line(count: int, words: str):
    line = describe_trouble(failing(0, count))
    assert line.startswith("Telegram cannot deliver: Connection timed out (")
    assert words in line


def test_a_long_text_of_telegrams_is_cut_and_a_missing_one_named():
    assert len(shown_error(Info(last_error_message="x" * 5000))) == 200
    assert shown_error(Info()) == "no reason given"


# --- whether Telegram gets through ------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "seen_ago_s", "expected"),
    [
        (failing(10), None, True),
        (failing(10), 60.0, True),
        (failing(10, pending=0), None, False),
        (Info(pending_update_count=5), None, False),
        # Our own answer was the failure, whichever clock is late by some seconds.
        (failing(10), 10.0, False),
        (failing(10), 10.0 + SKEW_S, False),
        (failing(10), 5.0, False),
        (failing(10), 10.1 + SKEW_S, True),
        # Telegram's clock is ahead of ours.
        (failing(-3), 1.0, False),
        (failing(-3), 0.1 + SKEW_S, True),
        (failing(ERROR_MEMORY_S), None, True),
        (failing(ERROR_MEMORY_S + 1), None, False),
    ],
)
def test_telegram_fails_to_reach_us_if_it_says_so_and_nothing_came(info, seen_ago_s, expected):
    assert is_unreachable(info, NOW_UTC, seen_ago_s) is expected


@pytest.mark.parametrize(
    ("set_ago_s", "expected"), [(None, True), (30.0, True), (20.0, True), (15.0, True), (14.0, False)]
)
def test_an_error_from_before_the_registration_says_nothing_of_it(set_ago_s, expected):
    assert is_unreachable(failing(20), NOW_UTC, None, set_ago_s) is expected


@pytest.mark.parametrize(
    ("up_ago_s", "expected"), [(None, True), (30.0, True), (25.0, True), (24.9, False), (10.0, False)]
)
def test_an_error_from_before_anybody_listened_says_nothing(up_ago_s, expected):
    assert is_unreachable(failing(20), NOW_UTC, None, up_ago_s=up_ago_s) is expected


# --- what is remembered -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        replace(HOOK, url="https://bots.example.com/webhook/shop2"),
        replace(HOOK, secret="secret2"),
        replace(HOOK, max_connections=41),
        replace(HOOK, allowed_updates=("message",)),
        replace(HOOK, certificate=b""),
    ],
)
def test_each_part_of_a_registration_counts(changed: Hook):
    assert changed.fingerprint != HOOK.fingerprint


def test_the_order_of_kinds_does_not_count():
    assert replace(HOOK, allowed_updates=("poll", "message")).fingerprint == HOOK.fingerprint
    assert kinds(["poll", "message", "poll"]) == ("message", "poll")


def test_a_record_comes_back_and_tells_no_secret():
    record = Record(HOOK.fingerprint, Facts(HOOK.url, 40, ("message",), True), ("message",))
    raw = write_record(record)
    assert read_record(raw) == record
    assert b"secret" not in raw
    assert b"PEM" not in raw


@pytest.mark.parametrize("raw", [None, b"", b"nothing", b'{"fingerprint":1}'])
def test_a_record_that_cannot_be_read_is_as_none(raw):
    assert read_record(raw) == Record()


# --- where bots are reached, and with what secret ---------------------------------------------


@pytest.mark.parametrize(
    ("public", "address"),
    [
        ("https://bots.example.com", "https://bots.example.com/webhook/shop"),
        ("https://bots.example.com:8443/Tg", "https://bots.example.com:8443/Tg/webhook/shop"),
        # Telegram shows host names in small letters.
        ("https://Bots.Example.COM", "https://bots.example.com/webhook/shop"),
        ("http://[::1]:8080", "http://[::1]:8080/webhook/shop"),
    ],
)
def test_the_address_of_a_bot(public: str, address: str):
    assert address_of(public, BotId("shop")) == address


NAMES = st.text("abc/:_0123456789", max_size=6)


@given(*[NAMES] * 6, st.integers(0, 99), st.integers(0, 99))
def test_no_two_bots_share_a_secret(key, other_key, url, other_url, name, other_name, number, other_number):
    first = (key, url, TelegramId(number), BotId(name))
    second = (other_key, other_url, TelegramId(other_number), BotId(other_name))
    assert (secret_of(*first) == secret_of(*second)) is (first == second)


def test_a_secret_is_what_telegram_takes_and_always_the_same():
    secret = secret_of("a key", "https://api.telegram.org", TelegramId(1001), BotId("shop"))
    assert secret == secret_of("a key", "https://api.telegram.org", TelegramId(1001), BotId("shop"))
    assert len(secret) == 43
    assert secret.replace("_", "a").replace("-", "a").isalnum()
    assert secret.isascii()
    assert "a key" not in secret
