"""The message window against a naive one, and what makes two messages the same."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.ids import TelegramId
from supervisor.updates.model import Source
from supervisor.updates.policy.decoding import Decoded, decode
from supervisor.updates.policy.message_window import (
    ContentWindow,
    MessageKey,
    MessageWindow,
    content_key,
    message_key,
)

WINDOW_S = 30.0
MAX_KEYS = 4
SOURCE = Source(TelegramId(1001), "https://api.telegram.org")
A, B = MessageKey(b"a"), MessageKey(b"b")


class NaiveWindow:
    """Every note ever made, in order; everything is looked up by going through all of them."""

    def __init__(self) -> None:
        self.notes: list[tuple[bytes, float]] = []

    def seen(self, key: bytes, now: float) -> bool:
        return any(noted == key and now - at < WINDOW_S for noted, at in self.notes)

    def note(self, key: bytes, now: float) -> None:
        if not self.seen(key, now):
            self.notes = [each for each in self.notes if each[0] != key] + [(key, now)]
            self.notes = self.notes[-MAX_KEYS:]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["note", "sweep", "wait"]),
        st.sampled_from([MessageKey(bytes([number])) for number in range(8)]),
        st.sampled_from([0.0, 1.0, 10.0, 29.9, 30.0, 31.0]),
    ),
    max_size=60,
)


@given(STEPS)
def test_it_behaves_as_a_naive_window(steps: list[tuple[str, MessageKey, float]]):
    window, model, now = MessageWindow(WINDOW_S, MAX_KEYS), NaiveWindow(), 1000.0
    for verb, key, pause_s in steps:
        now += pause_s
        if verb == "note":
            window.note(key, now)
            model.note(key, now)
        elif verb == "sweep":
            window.sweep(now)
            assert len(window) == len({each for each, at in model.notes if now - at < WINDOW_S})
        for number in range(8):
            each = MessageKey(bytes([number]))
            assert window.seen(each, now) == model.seen(each, now)
        assert len(window) <= MAX_KEYS


def test_a_message_counts_from_its_first_moment():
    window = MessageWindow(WINDOW_S, MAX_KEYS)
    window.note(A, 0.0)
    window.note(A, 29.0)
    assert window.seen(A, 29.9)
    assert not window.seen(A, 30.0)


def test_a_window_of_no_length_sees_nothing():
    window = MessageWindow(0.0, MAX_KEYS)
    window.note(A, 5.0)
    assert not window.seen(A, 5.0)


def test_words_count_only_if_they_also_were_sent_within_the_window():
    window = ContentWindow(WINDOW_S, MAX_KEYS)
    window.note(A, 0.0, sent_utc=1000)
    assert window.seen(A, 1.0, sent_utc=1001)
    assert not window.seen(A, 1.0, sent_utc=1030)
    assert not window.seen(A, 30.0, sent_utc=1001)
    assert not window.seen(B, 1.0, sent_utc=1001)
    window.note(A, 1.0, sent_utc=1060)
    assert window.seen(A, 2.0, sent_utc=1065)


def test_a_sweep_forgets_words():
    window = ContentWindow(WINDOW_S, MAX_KEYS)
    window.note(A, 0.0, sent_utc=1000)
    window.sweep(60.0)
    # Were it remembered still, these words would count: at a clock that went back.
    assert not window.seen(A, 0.0, sent_utc=1000)


# --- keys -----------------------------------------------------------------------------------------

MESSAGE: dict[str, Any] = {
    "message_id": 5,
    "date": 1700000000,
    "chat": {"id": 3},
    "from": {"id": 7},
    "text": "hi",
}


def key_of(
    message: dict[str, Any], kind: str = "message", update_id: int = 1, source: Source = SOURCE
) -> bytes:
    parts = decode(json.dumps({"update_id": update_id, kind: message}).encode())
    assert isinstance(parts, Decoded)
    assert parts.message is not None
    return message_key(source, kind, parts.message)


def content_of(message: dict[str, Any], kind: str = "message", source: Source = SOURCE) -> bytes | None:
    parts = decode(json.dumps({"update_id": 1, kind: message}).encode())
    assert isinstance(parts, Decoded)
    assert parts.message is not None
    return content_key(source, kind, parts.message)


def test_the_update_id_is_no_part_of_a_message():
    assert key_of(MESSAGE) == key_of(MESSAGE, update_id=2)


@pytest.mark.parametrize(
    "change",
    [{"message_id": 6}, {"chat": {"id": 4}}, {"edit_date": 1}, {"text": "ho"}, {"caption": "x"}],
)
def test_any_part_of_a_message_tells_it_from_others(change: dict[str, Any]):
    assert key_of(MESSAGE) != key_of({**MESSAGE, **change})


def test_kind_bot_and_bot_api_server_tell_messages_apart():
    keys = {
        key_of(MESSAGE),
        key_of(MESSAGE, kind="edited_message"),
        key_of(MESSAGE, source=replace(SOURCE, telegram_id=TelegramId(1002))),
        key_of(MESSAGE, source=replace(SOURCE, base_url="http://127.0.0.1:1")),
    }
    assert len(keys) == 4


def test_words_are_the_same_in_any_message_of_the_chat():
    assert content_of(MESSAGE) == content_of({**MESSAGE, "message_id": 6, "date": 1700000009})
    assert content_of(MESSAGE) != content_of({**MESSAGE, "text": "ho"})
    assert content_of(MESSAGE) != content_of({**MESSAGE, "from": {"id": 8}})
    assert content_of(MESSAGE) != content_of({**MESSAGE, "chat": {"id": 4}})
    assert content_of(MESSAGE) != content_of(MESSAGE, kind="channel_post")
    assert content_of(MESSAGE) != content_of(MESSAGE, source=replace(SOURCE, telegram_id=TelegramId(1002)))


def test_what_has_no_words_or_repeats_them_by_being_an_edit_has_no_content():
    assert content_of({**MESSAGE, "edit_date": 1700000009}, kind="edited_message") is None
    photo = {key: value for key, value in MESSAGE.items() if key != "text"}
    assert content_of(photo) is None


def test_no_text_is_kept():
    key = content_of({**MESSAGE, "text": "secret words"})
    assert key is not None
    assert b"secret" not in key
    assert len(key) == 16
