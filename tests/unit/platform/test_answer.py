"""What counts as an answer."""

import pytest

from supervisor.platform.answer import Answer, UnreadableAnswerError, parse


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "of 0 bytes is not JSON in UTF-8"),
        (b"<html>hush</html>", "of 17 bytes is not JSON in UTF-8"),
        (b'{"bots": [NaN]}', "is not JSON"),
        (b'{"bots": []} hush', "is not JSON"),
        (b'{"bots": ["\xff"]}', "is not JSON in UTF-8"),
        (b'{"bots": ["\\ud800"]}', "is not JSON"),
        (b"[" * 50_000 + b"]" * 50_000, "is nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_without_being_shown(raw: bytes, words: str):
    with pytest.raises(UnreadableAnswerError) as caught:
        parse(raw)
    assert words in str(caught.value)
    assert str(caught.value).endswith('it must be {"bots": [...]}')
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "bots"),
    [(b'{"bots": [{}, {}]}', 2), (b'{"bots": []}', 0), (b'{"bots": 3}', 0), (b"[1]", 0), (b"null", 0)],
)
def test_bots_are_counted_whatever_the_answer_is(raw: bytes, bots: int):
    assert Answer(raw, parse(raw), None, 0.0).bots == bots


def test_an_answer_does_not_show_what_is_in_it():
    raw = b'{"bots": [{"token": "hush"}]}'
    assert "hush" not in repr(Answer(raw, parse(raw), None, 0.0))
