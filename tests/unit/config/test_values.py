"""The small languages of durations, sizes, shares and uids."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.config import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("250ms", 0.25),
        ("2d", 172800),
        ("0s", 0),
        ("1.5 s", 1.5),
    ],
)
def test_durations(text: str, seconds: float):
    assert values.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("45", '"45" is not a duration; write 45s'),
        ("4S", '"4S" is not a duration; write 4s'),
        ("l0s", '"l0s" is not a duration; write 10s'),
        ("5 min", '"5 min" is not a duration; write 5m'),
        ("1 hour", '"1 hour" is not a duration; write 1h'),
        ("-5s", '"-5s" is not a duration; write for example 45s, 5m or 1h'),
        ("soon", '"soon" is not a duration; write for example 45s, 5m or 1h'),
        ("1e3s", '"1e3s" is not a duration; write for example 45s, 5m or 1h'),
        ("400d", '"400d" is longer than a year; write for example 1h'),
        ("9" * 400 + "s", "is longer than a year"),
    ],
)
def test_wrong_durations_say_what_to_write(text: str, complaint: str):
    with pytest.raises(ValueError) as caught:
        values.parse_duration(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("150MB", 150 * 2**20),
        ("150 mb", 150 * 2**20),
        ("64KiB", 65536),
        ("2G", 2**31),
        ("512B", 512),
        ("0.5K", 512),
    ],
)
def test_sizes(text: str, size: int):
    assert values.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("15O MB", '"15O MB" is not a size; write 150MB'),
        ("150", '"150" is not a size; write 150MB'),
        ("150M B", '"150M B" is not a size; write 150MB'),
        ("-1MB", '"-1MB" is not a size; write for example 150MB'),
        ("much", '"much" is not a size; write for example 150MB'),
        ("9" * 30 + "GB", "is larger than any memory"),
    ],
)
def test_wrong_sizes_say_what_to_write(text: str, complaint: str):
    with pytest.raises(ValueError) as caught:
        values.parse_size(text)
    assert complaint in str(caught.value)


def test_shares():
    assert values.parse_share("5%") == 0.05
    assert values.parse_share("100 %") == 1
    for wrong in ("0.05", "101%", "-1%"):
        with pytest.raises(ValueError, match="write"):
            values.parse_share(wrong)


def test_uids_are_a_range_with_both_ends():
    assert values.parse_uids("20000-29999") == range(20000, 30000)
    for wrong in ("0-5", "9-5", "20000", "a-b", f"1-{2**32 - 1}"):
        with pytest.raises(ValueError, match="uids"):
            values.parse_uids(wrong)


@given(st.integers(0, 366 * 86_400_000))
def test_every_duration_is_read_as_it_is_written(milliseconds: int):
    seconds = milliseconds / 1000
    assert values.parse_duration(values.format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.integers(0, 2**50))
def test_every_size_is_read_as_it_is_written(size: int):
    assert values.parse_size(values.format_size(size)) == size


@given(st.text(max_size=20))
def test_no_text_breaks_a_parser(text: str):
    for parse in (values.parse_duration, values.parse_size, values.parse_share, values.parse_uids):
        with suppress(ValueError):
            assert parse(text) is not None
