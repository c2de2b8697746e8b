"""Frames survive any cut of the stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.errors import ProtocolError
from brama.frames import MAX_FRAME_BYTES, FrameReader, encode_frame


@given(st.lists(st.binary(max_size=40), max_size=20), st.lists(st.integers(1, 30), min_size=1, max_size=50))
def test_any_cut_gives_the_same_frames(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, bodies))
    reader = FrameReader()
    seen: list[bytes] = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        seen.extend(reader.feed(stream[:size]))
        stream = stream[size:]
        turn += 1
    assert seen == bodies
    assert reader.pending == b""


def test_an_unfinished_frame_stays_pending() -> None:
    reader = FrameReader()
    assert list(reader.feed(encode_frame(b"whole") + b"\0\0\0\x05par")) == [b"whole"]
    assert reader.pending == b"\0\0\0\x05par"


def test_a_torn_stream_is_named() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        list(FrameReader().feed(b"\xff\xff\xff\xff"))
    with pytest.raises(ProtocolError, match="over the limit"):
        encode_frame(bytes(MAX_FRAME_BYTES + 1))
