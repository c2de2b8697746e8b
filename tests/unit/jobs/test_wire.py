"""Redis's wire format: what is cut anywhere is put together again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError

from jobs.engine.wire import IncompleteError, decode, encode


@given(st.lists(st.text() | st.integers() | st.binary().filter(lambda raw: raw.isascii()), min_size=1))
def test_what_was_encoded_is_decoded_and_every_part_of_it_is_incomplete(command):
    sent = encode(command)
    said = [each.decode() if isinstance(each, bytes) else str(each) for each in command]
    assert decode(sent + b":1\r\n", 0) == (said, len(sent))
    for size in range(len(sent)):
        with pytest.raises(IncompleteError):
            decode(sent[:size], 0)


@pytest.mark.parametrize(
    ("received", "value"),
    [
        (b"$-1\r\n", None),
        (b":-3\r\n", -3),
        (b"+OK\r\n", "OK"),
        (b"*2\r\n*0\r\n$2\r\n\xff\xfe\r\n", [[], "\ufffd\ufffd"]),
        (b"*-1\r\n", []),
    ],
)
def test_each_kind_of_answer(received, value):
    assert decode(received, 0) == (value, len(received))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NOSCRIPT No matching script", NoScriptError),
        ("OOM full", OutOfMemoryError),
        ("MISCONF x", ResponseError),
    ],
)
def test_an_error_is_an_answer_of_its_kind(text, kind):
    error, _ = decode(f"-{text}\r\n".encode(), 0)
    assert type(error) is kind
    assert str(error) == text


def test_what_is_no_answer_is_refused():
    with pytest.raises(ValueError, match="begins with"):
        decode(b"HTTP/1.1 200 OK\r\n", 0)
