"""What intake reads of an update, of every kind and of what is none."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from telegram import Update

from brama.ids import UpdateId
from brama.update_kinds import UPDATE_KINDS
from supervisor.updates.policy.decoding import (
    MAX_UPDATE_ID,
    WINDOWED_KINDS,
    Decoded,
    Malformed,
    decode,
    scan_update_id,
    sender_and_text,
)

USER: dict[str, Any] = {"id": 7001, "is_bot": False, "first_name": "Ann"}
CHAT: dict[str, Any] = {"id": -1005, "type": "supergroup", "title": "Plants"}
MESSAGE: dict[str, Any] = {"message_id": 5, "date": 1700000000, "chat": CHAT, "from": USER, "text": "hi"}
EDITED = {**MESSAGE, "edit_date": 1700000100}
MEMBER = {"user": USER, "status": "member"}
CHANGE = {
    "chat": CHAT,
    "from": USER,
    "date": 1700000200,
    "old_chat_member": MEMBER,
    "new_chat_member": MEMBER,
}
QUERY = {"id": "9", "from": USER}
SOURCE_OF_BOOST = {"source": "premium", "user": USER}

#: Every kind: a payload, and the lane and the date it must give.
KINDS: dict[str, tuple[dict[str, Any], str, int | None]] = {
    "message": (MESSAGE, "c-1005", 1700000000),
    "edited_message": (EDITED, "c-1005", 1700000100),
    "channel_post": (MESSAGE, "c-1005", 1700000000),
    "edited_channel_post": (EDITED, "c-1005", 1700000100),
    "business_message": (MESSAGE, "c-1005", 1700000000),
    "edited_business_message": (EDITED, "c-1005", 1700000100),
    "guest_message": (MESSAGE, "c-1005", 1700000000),
    "deleted_business_messages": (
        {"business_connection_id": "b", "chat": CHAT, "message_ids": [1]},
        "c-1005",
        None,
    ),
    "business_connection": (
        {"id": "b", "user": USER, "user_chat_id": 7001, "date": 1700000000, "is_enabled": True},
        "u7001",
        None,
    ),
    "callback_query": ({**QUERY, "chat_instance": "x", "message": MESSAGE, "data": "d"}, "c-1005", None),
    "inline_query": ({**QUERY, "query": "q", "offset": ""}, "u7001", None),
    "chosen_inline_result": ({"result_id": "r", "from": USER, "query": "q"}, "u7001", None),
    "shipping_query": (
        {
            **QUERY,
            "invoice_payload": "p",
            "shipping_address": dict.fromkeys(
                ("country_code", "state", "city", "street_line1", "street_line2", "post_code"), "x"
            ),
        },
        "u7001",
        None,
    ),
    "pre_checkout_query": (
        {**QUERY, "currency": "EUR", "total_amount": 1, "invoice_payload": "p"},
        "u7001",
        None,
    ),
    "purchased_paid_media": ({"from": USER, "paid_media_payload": "p"}, "u7001", None),
    "poll": (
        {
            "id": "1",
            "question": "?",
            "options": [],
            "total_voter_count": 0,
            "is_closed": False,
            "is_anonymous": True,
            "type": "regular",
            "allows_multiple_answers": False,
            "allows_revoting": False,
            "members_only": False,
        },
        "",
        None,
    ),
    "poll_answer": (
        {"poll_id": "1", "user": USER, "option_ids": [0], "option_persistent_ids": ["a"]},
        "u7001",
        None,
    ),
    "my_chat_member": (CHANGE, "c-1005", 1700000200),
    "chat_member": (CHANGE, "c-1005", 1700000200),
    "chat_join_request": (
        {"chat": CHAT, "from": USER, "user_chat_id": 7001, "date": 1700000300},
        "c-1005",
        1700000300,
    ),
    "message_reaction": (
        {
            "chat": CHAT,
            "message_id": 5,
            "user": USER,
            "date": 1700000400,
            "old_reaction": [],
            "new_reaction": [],
        },
        "c-1005",
        1700000400,
    ),
    "message_reaction_count": (
        {"chat": CHAT, "message_id": 5, "date": 1700000500, "reactions": []},
        "c-1005",
        1700000500,
    ),
    "chat_boost": (
        {
            "chat": CHAT,
            "boost": {"boost_id": "b", "add_date": 1, "expiration_date": 2, "source": SOURCE_OF_BOOST},
        },
        "c-1005",
        None,
    ),
    "removed_chat_boost": (
        {"chat": CHAT, "boost_id": "b", "remove_date": 1, "source": SOURCE_OF_BOOST},
        "c-1005",
        None,
    ),
    "managed_bot": ({"user": USER, "bot": {"id": 7002, "is_bot": True, "first_name": "B"}}, "u7001", None),
}


def raw_of(update: Any) -> bytes:
    return json.dumps(update).encode()


def decoded(raw: bytes) -> Decoded:
    parts = decode(raw)
    assert isinstance(parts, Decoded)
    return parts


def test_the_table_has_every_kind():
    assert set(KINDS) == set(UPDATE_KINDS)


@pytest.mark.parametrize("kind", UPDATE_KINDS)
def test_kind_lane_and_date_of_every_kind(kind: str):
    payload, lane, sent_utc = KINDS[kind]
    parts = decoded(raw_of({"update_id": 12, kind: payload}))
    assert (parts.update_id, parts.kind, parts.lane, parts.sent_utc) == (12, kind, lane, sent_utc)
    assert (parts.message is not None) == (kind in WINDOWED_KINDS)


@pytest.mark.parametrize("kind", UPDATE_KINDS)
def test_the_lane_is_what_python_telegram_bot_calls_effective(kind: str):
    update = Update.de_json({"update_id": 12, kind: KINDS[kind][0]}, None)
    chat, user = update.effective_chat, update.effective_user
    lane = f"c{chat.id}" if chat else f"u{user.id}" if user else ""
    assert decoded(raw_of({"update_id": 12, kind: KINDS[kind][0]})).lane == lane


def test_a_press_of_an_inline_message_belongs_to_its_user():
    press = {**QUERY, "chat_instance": "x", "inline_message_id": "i", "data": "d"}
    assert decoded(raw_of({"update_id": 1, "callback_query": press})).lane == "u7001"


def test_a_vote_of_a_chat_belongs_to_that_chat():
    vote = {"poll_id": "1", "voter_chat": CHAT, "user": USER, "option_ids": [0]}
    assert decoded(raw_of({"update_id": 1, "poll_answer": vote})).lane == "c-1005"


def test_a_kind_that_is_not_known_yet_keeps_its_lane():
    parts = decoded(raw_of({"update_id": 1, "story_liked": {"chat": CHAT}}))
    assert (parts.kind, parts.lane) == ("unknown", "c-1005")


def test_an_update_of_nothing_is_an_update():
    assert decoded(b'{"update_id": 0}') == Decoded(UpdateId(0), "unknown", "", None, None)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        5,
        "text",
        [],
        {},
        {"chat": 5},
        {"chat": {"id": "five"}},
        {"chat": {"id": 1.5}},
        {"chat": {"id": 3}, "message_id": "x"},
        {"chat": {"id": 3}, "date": True},
    ],
)
def test_a_payload_of_another_shape_is_passed_on_without_a_lane(payload: object):
    parts = decoded(raw_of({"update_id": 3, "message": payload}))
    assert (parts.update_id, parts.kind, parts.lane, parts.message) == (3, "message", "", None)


def test_a_chat_id_of_too_many_digits_is_no_lane():
    raw = b'{"update_id":1,"message":{"message_id":2,"chat":{"id":' + b"9" * 5000 + b"}}}"
    assert decoded(raw).lane == ""


def test_lone_surrogates_are_what_json_allows():
    raw = rb'{"update_id":1,"message":{"message_id":2,"date":9,"chat":{"id":3},"text":"\ud800"}}'
    parts = decoded(raw)
    assert (parts.lane, parts.sent_utc) == ("c3", 9)
    assert parts.message is not None
    assert parts.message.message_id == 2


@pytest.mark.parametrize(
    ("raw", "kind", "lane"),
    [
        (rb'{"update_id":1,"\ud800":{"chat":{"id":3}}}', "unknown", "c3"),
        (rb'{"update_id":1,"message":{"chat":{"id":"3"},"text":"\ud800"}}', "message", ""),
        (b'{"update_id":1,"message":NaN}', "message", ""),
    ],
)
def test_what_only_the_json_module_reads_is_judged_alike(raw: bytes, kind: str, lane: str):
    assert (decoded(raw).kind, decoded(raw).lane) == (kind, lane)


def test_numbers_that_are_none_are_what_json_loads_allows():
    assert decoded(b'{"update_id":1,"message":{"message_id":2,"chat":{"id":3},"x":NaN}}').lane == "c3"


def test_of_equal_keys_the_last_counts_as_in_json_loads():
    raw = b'{"update_id":1,"message":{"chat":{"id":3}},"update_id":2,"message":{"chat":{"id":4}}}'
    assert (decoded(raw).update_id, decoded(raw).lane) == (2, "c4")


def test_ten_megabytes_are_an_update():
    raw = b'{"update_id":1,"message":{"message_id":2,"chat":{"id":3},"text":"' + b"x" * 10**7 + b'"}}'
    assert decoded(raw).lane == "c3"


DEEP = b"[" * 20_000 + b"]" * 20_000


@pytest.mark.parametrize(
    ("raw", "reason", "update_id"),
    [
        (b"", "not JSON", None),
        (b"nonsense", "not JSON", None),
        (b"[]", "an array, not an object", None),
        (b'"text"', "a string, not an object", None),
        (b"5", "a number, not an object", None),
        (b"null", "null, not an object", None),
        (b"{}", "no update_id", None),
        (b'{"update_id":true}', "update_id is a boolean, not an integer", None),
        (b'{"update_id":1.0}', "update_id is a number, not an integer", None),
        (b'{"update_id":1e3}', "update_id is a number, not an integer", None),
        (b'{"update_id":"1"}', "update_id is a string, not an integer", None),
        (b'{"update_id":null}', "update_id is null, not an integer", None),
        (b'{"update_id":[1]}', "update_id is an array, not an integer", None),
        (b'{"update_id":-1}', "update_id -1 is out of range", None),
        (b'{"update_id":9223372036854775808}', "update_id 9223372036854775808 is out of range", None),
        (b'{"update_id":' + b"9" * 100 + b"}", "is out of range", None),
        (b'{"update_id":' + b"9" * 5000 + b"}", "too many digits", None),
        (b'{"update_id":5,"message":{"text":"\xff"}}', "invalid UTF-8 at byte 34", 5),
        (b'{"update_id":5,"message":' + DEEP + b"}", "nested too deeply", 5),
        (b'{"update_id":5,"message":{"chat":{"id":3},"x":' + DEEP + b"}}", "nested too deeply", 5),
        (b'{"update_id":5,"message":{"text":"torn', "not JSON", 5),
        (b'{"update_id":5} {"update_id":6}', "not JSON", 5),
        (b'\xef\xbb\xbf{"update_id":5}', "not JSON", None),
        ('{"update_id":5}'.encode("utf-16"), "invalid UTF-8", None),
        (b"\0" * 100, "not JSON", None),
    ],
)
def test_what_is_malformed_and_why(raw: bytes, reason: str, update_id: int | None):
    malformed = decode(raw)
    assert isinstance(malformed, Malformed)
    assert reason in malformed.reason
    assert "\n" not in malformed.reason
    assert malformed.update_id == update_id


@pytest.mark.parametrize(
    ("raw", "update_id"),
    [
        (b'{"update_id":5,"x":', 5),
        (b'  { "update_id" : 5 , "x":', 5),
        (b'{"x":{"update_id":4},"update_id":5}', 5),
        (b'{"x":[{"update_id":4}],"update_id":5,', 5),
        (b'{"x":"\\"update_id\\":4,","update_id":5,', 5),
        (b'{"x":"update_id","update_id":5,', 5),
        # The number may go on where the bytes end.
        (b'{"update_id":5', None),
        (b'{"update_id":"5",', None),
        (b'{"update_id":-5,', None),
        (b'{"update_id":5.5,', None),
        (b'{"update_id":99999999999999999999,', None),
        (b'{"update_id":9999999999999999999,', None),
        (b'{"x":{"update_id":4', None),
        (b'[{"update_id":5}', None),
        (b'"update_id":5,', None),
        (b'{"x":"torn,"update_id":5,', None),
        # The first one: a later one may stand in what is torn.
        (b'{"update_id":5,"update_id":6,', 5),
    ],
)
def test_the_update_id_of_bytes_that_no_parser_takes(raw: bytes, update_id: int | None):
    assert scan_update_id(raw) == update_id


@pytest.mark.parametrize("filler", [b"[", b'"', b'\\"', b'{"', b'"[', b"\\"])
def test_the_scan_of_anything_large_ends(filler: bytes):
    # Each of these takes minutes where the scan is quadratic; the suite's timeout would end it.
    assert scan_update_id(b'{"update_id":"1' + filler * 3_000_000) is None


def said(update: dict[str, Any]) -> tuple[int, bytes] | None:
    message = decoded(raw_of(update)).message
    assert message is not None
    return sender_and_text(message)


def test_who_said_what():
    update = {"update_id": 1, "message": MESSAGE}
    assert said(update) == (7001, b'"hi"')
    assert said({"update_id": 1, "channel_post": {**MESSAGE, "sender_chat": CHAT}}) == (-1005, b'"hi"')
    assert said({"update_id": 1, "message": {"message_id": 1, "chat": CHAT, "from": USER}}) is None
    assert said({"update_id": 1, "message": {"message_id": 1, "chat": CHAT, "text": "hi"}}) is None


# --- against a naive reading ----------------------------------------------------------------------


def naive(raw: bytes) -> tuple[int, str, str] | None:
    """Read an update the slow and obvious way: id, kind, lane; None if it is malformed."""
    try:
        update = json.loads(raw.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(update, dict):
        return None
    update_id = update.get("update_id")
    if isinstance(update_id, bool) or not isinstance(update_id, int) or not 0 <= update_id <= MAX_UPDATE_ID:
        return None
    kind = next((key for key in update if key in UPDATE_KINDS), "unknown")
    return update_id, kind, ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["chat", "from", "message", "message_id", "id", "date", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "update_id": st.integers(-5, 2**64) | JSON,
        "message": JSON,
        "callback_query": JSON,
        "x": JSON,
    },
)


@given(UPDATES, st.booleans())
@example({"update_id": 2**63 - 1}, True)
@example({"update_id": 2**63}, True)
def test_ids_and_kinds_are_read_as_the_json_module_reads_them(update: dict[str, Any], ascii_only: bool):
    raw = json.dumps(update, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    parts, expected = decode(raw), naive(raw)
    if expected is None:
        assert isinstance(parts, Malformed)
    else:
        assert isinstance(parts, Decoded)
        assert (parts.update_id, parts.kind) == expected[:2]


@given(st.binary(max_size=200) | UPDATES.map(raw_of), st.integers(0, 200), st.binary(max_size=5))
def test_no_bytes_are_too_bad_to_be_judged(raw: bytes, at: int, noise: bytes):
    torn = raw[:at] + noise + raw[at + len(noise) :]
    parts, expected = decode(torn), naive(torn)
    assert isinstance(parts, Decoded) == (expected is not None)
