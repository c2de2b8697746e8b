"""What HTTP answers mean."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.updates.policy.replies import (
    NoReply,
    Refusal,
    Result,
    answered_at_utc,
    cut_single,
    is_account,
    is_batch,
    read_batch,
    read_reply,
    split_batch,
)


def test_a_result_keeps_its_bytes():
    reply = read_reply(200, None, b'{"ok":true, "result": {"id": 1,  "x": "\\ud83d\\ude00"}}')
    assert reply == Result(b'{"id": 1,  "x": "\\ud83d\\ude00"}')


@pytest.mark.parametrize(
    ("date", "at_utc"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 1_700_000_000.0),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("Tue, 99 Nov 2023 22:13:20 GMT", None),
        ("Tue, 14 Nov 99999999999999999999 22:13:20 GMT", None),
    ],
)
def test_when_it_was_answered_is_what_the_server_says(date, at_utc):
    reply = read_reply(200, None, b'{"ok":true,"result":true}', date)
    assert isinstance(reply, Result)
    assert answered_at_utc(reply) == at_utc


def test_a_batch_keeps_the_bytes_of_its_elements():
    reply = read_reply(200, None, b'{"ok":true,"result":[{"update_id":1 },{"a":[]},5,null,"\xff"]}')
    assert isinstance(reply, Result)
    assert read_batch(reply) == [b'{"update_id":1 }', b'{"a":[]}', b"5", b"null", b'"\xff"']


@pytest.mark.parametrize("raw", [b"{}", b"true", b"1", b'"x"', b"null"])
def test_what_is_no_list_is_no_batch(raw: bytes):
    assert read_batch(Result(raw)) is None


@pytest.mark.parametrize(
    ("status", "header", "body", "refusal"),
    [
        (401, None, {"error_code": 401, "description": "Unauthorized"}, Refusal(401, "Unauthorized", None)),
        (404, None, {"error_code": 404, "description": "Not Found"}, Refusal(404, "Not Found", None)),
        (409, None, {"error_code": 409, "description": "Conflict: x"}, Refusal(409, "Conflict: x", None)),
        (429, None, {"error_code": 429, "parameters": {"retry_after": 7}}, Refusal(429, "no description", 7)),
        (429, "9", {"error_code": 429}, Refusal(429, "no description", 9)),
        (429, "9", {"error_code": 429, "parameters": {"retry_after": 7}}, Refusal(429, "no description", 9)),
        (429, "soon", {"error_code": 429, "parameters": {}}, Refusal(429, "no description", None)),
        (
            429,
            None,
            {"error_code": 429, "parameters": {"retry_after": -7}},
            Refusal(429, "no description", None),
        ),
        (500, None, {}, Refusal(500, "no description", None)),
        (200, None, {"error_code": 401, "description": "x" * 500}, Refusal(401, "x" * 200, None)),
    ],
)
def test_refusals(status: int, header: str | None, body: dict, refusal: Refusal):
    assert read_reply(status, header, json.dumps({"ok": False, **body}).encode()) == refusal


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (502, b"<html><h1>502 Bad Gateway</h1></html>"),
        (404, b"<html>nothing here</html>"),
        (401, b"proxy wants a password"),
        (200, b"[1]"),
        (200, b'{"result": []}'),
        (200, b'{"ok": "yes"}'),
        (200, b'{"ok": true}'),
        (200, b'{"ok":true,"result":[}'),
        (302, b'{"ok":true,"result":[]}'),
        (200, b"\xff\xfe"),
    ],
)
def test_what_is_not_of_the_bot_api_is_no_reply(status: int, body: bytes):
    """A proxy's own 401 or 404 must not condemn a token."""
    assert isinstance(read_reply(status, None, body), NoReply)


def test_a_proxys_429_is_obeyed():
    assert read_reply(429, "12", b"<html>") == Refusal(429, "Too Many Requests", 12)


def test_an_element_that_does_not_decode_is_cut_out_of_its_batch():
    deep = b'{"update_id":7,"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    lone_surrogate = b'{"update_id":7,"text":"\\ud800"}'
    for element in (deep, lone_surrogate, b'{"update_id":7,"text":"\x00"}', b"{oops", b"[]}"):
        body = b'{"ok":true,"result":[' + element + b"]}"
        assert isinstance(read_reply(200, None, body), NoReply)
        assert is_batch(body)
        assert cut_single(body) == element


def test_a_batch_is_split_at_brackets_and_commas_alone():
    deep = b"[" * 20_000 + b"]" * 20_000
    elements = [
        b'{"update_id":1,"x":' + deep + b"}",
        b'{"text":"\\ud800 ],[ \\" , \xff"}',
        b"[1,[2,3]]",
        b"{oops}",
        b'"a,b"',
        b"5",
    ]
    assert split_batch(b'{"ok":true,"result":[' + b" , ".join(elements) + b"] }\n") == elements
    assert split_batch(b'{"ok":true,"result":[]}') == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"ok":true,"result":[{"a":1},',
        b'{"ok":true,"result":[{"a":"x},{}]}',
        b'{"ok":true,"result":[{},,{}]}',
        b'{"ok":true,"result":[{]}]}',
        b'{"ok":true,"result":[{}]} more',
        b'{"ok":true,"result":[1]]}',
    ],
)
def test_torn_batches_are_not_split(body: bytes):
    assert split_batch(body) is None


@given(st.lists(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5), max_size=8))
def test_splitting_agrees_with_decoding(values):
    body = json.dumps({"ok": True, "result": values}).encode()
    elements = split_batch(body)
    assert elements is not None
    assert [json.loads(element) for element in elements] == values


def test_spaces_around_an_element_do_not_matter():
    assert cut_single(b' { "ok" : true , "result" : [ {x} ] } \n') == b"{x}"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"ok":false,"result":[x]}', b'{"ok":true,"result":{x}}'])
def test_what_does_not_begin_as_a_batch_is_none(body: bytes):
    assert not is_batch(body)
    assert cut_single(body) is None


def test_a_torn_batch_has_no_element():
    assert cut_single(b'{"ok":true,"result":[{"update_id":1}') is None
    assert cut_single(b'{"ok":true,"result":[]}') is None


def test_accounts():
    me = b'{"id":1001,"is_bot":true,"first_name":"x"}'
    assert is_account(me, 1001)
    assert not is_account(me, 1002)
    assert not is_account(b'{"id":1001,"is_bot":false}', 1001)
    assert not is_account(b"[]", 1001)


@given(st.integers(100, 599), st.none() | st.text(max_size=5), st.binary(max_size=200))
def test_any_answer_is_read(status: int, header: str | None, body: bytes):
    reply = read_reply(status, header, body)
    assert isinstance(reply, Result | Refusal | NoReply)
    assert isinstance(cut_single(body), bytes | None)
    assert isinstance(split_batch(b'{"ok":true,"result":[' + body), list | None)
