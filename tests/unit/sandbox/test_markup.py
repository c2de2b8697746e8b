"""Entities: those found in plain text, and those a parse mode marks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import MessageEntity, User
from telegram.helpers import escape_markdown

from sandbox.policy.entities import find_entities
from sandbox.policy.markup import parse
from sandbox.policy.markup_text import MarkupError


def seen(text: str, entities: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Read entities the way python-telegram-bot does: by UTF-16 offsets."""
    parsed = [MessageEntity.de_json(entity, None) for entity in entities]
    units = text.encode("utf-16-le", "surrogatepass")
    return [
        (entity.type, units[entity.offset * 2 : (entity.offset + entity.length) * 2].decode("utf-16-le"))
        for entity in parsed
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", []),
        ("/start now", [("bot_command", "/start")]),
        ("/start@shop_bot", [("bot_command", "/start@shop_bot")]),
        ("🎉🎉 /go", [("bot_command", "/go")]),
        ("a/b and 1/2", []),
        ("@durov #news", [("mention", "@durov"), ("hashtag", "#news")]),
        ("see https://example.org/a?b=c", [("url", "https://example.org/a?b=c")]),
        ("me@example.org", [("email", "me@example.org")]),
        ("#123", []),
    ],
)
def test_what_is_found_in_plain_text(text: str, expected: list[tuple[str, str]]) -> None:
    assert seen(text, find_entities(text)) == expected


@pytest.mark.parametrize(
    ("mode", "text", "plain", "expected"),
    [
        ("HTML", "<b>bold</b> &lt;tag&gt; &amp;", "bold <tag> &", [("bold", "bold")]),
        ("html", "<b>a<i>b</i></b>", "ab", [("bold", "ab"), ("italic", "b")]),
        ("HTML", "  <u>x</u>  ", "x", [("underline", "x")]),
        ("HTML", '<a href="https://e.org">here</a>', "here", [("text_link", "here")]),
        ("HTML", '<a href="tg://user?id=5">Ann</a>', "Ann", [("text_mention", "Ann")]),
        ("HTML", '<span class="tg-spoiler">s</span>', "s", [("spoiler", "s")]),
        ("HTML", '<pre><code class="language-python">x = 1</code></pre>', "x = 1", [("pre", "x = 1")]),
        ("HTML", "<blockquote expandable>q</blockquote>", "q", [("expandable_blockquote", "q")]),
        ("HTML", "<code>/start</code> /help", "/start /help", [("code", "/start"), ("bot_command", "/help")]),
        ("HTML", "🎉<s>x</s>&#128512;", "🎉x😀", [("strikethrough", "x")]),
        ("MarkdownV2", "*b* _i_ __u__", "b i u", [("bold", "b"), ("italic", "i"), ("underline", "u")]),
        ("MarkdownV2", "*a _b_*", "a b", [("bold", "a b"), ("italic", "b")]),
        ("MarkdownV2", "~s~ ||p|| `c`", "s p c", [("strikethrough", "s"), ("spoiler", "p"), ("code", "c")]),
        ("MarkdownV2", "1\\.5 \\- 1", "1.5 - 1", []),
        ("MarkdownV2", "[here](https://e.org/\\))", "here", [("text_link", "here")]),
        ("MarkdownV2", "```python\nx_1 = 2\n```", "x_1 = 2", [("pre", "x_1 = 2")]),
        ("MarkdownV2", ">quoted\n>more\nnot", "quoted\nmore\nnot", [("blockquote", "quoted\nmore")]),
        ("Markdown", "*b* _i_ `c`", "b i c", [("bold", "b"), ("italic", "i"), ("code", "c")]),
        ("Markdown", "see [this](http://e.org).", "see this.", [("text_link", "this")]),
        ("Markdown", "snake\\_case. 1-2!", "snake_case. 1-2!", []),
        ("", " plain <b> ", "plain <b>", []),
    ],
)  # fmt: skip
def test_what_a_parse_mode_marks(mode: str, text: str, plain: str, expected: list[tuple[str, str]]) -> None:
    parsed, entities = parse(text, mode)
    assert parsed == plain
    assert seen(parsed, entities) == expected


@pytest.mark.parametrize(
    ("mode", "text", "words"),
    [
        ("HTML", "<b>open", "can't parse entities: Can't find end tag corresponding to start tag \"b\""),
        ("HTML", "é<foo>", 'can\'t parse entities: Unsupported start tag "foo" at byte offset 2'),
        ("HTML", "x</b>", "can't parse entities: Unexpected end tag at byte offset 1"),
        (
            "HTML",
            "<b>x</i>",
            'can\'t parse entities: Unmatched end tag at byte offset 4, expected "</b>", found "</i>"',
        ),
        ("HTML", "1 < 2", "can't parse entities: Unclosed start tag at byte offset 2"),
        (
            "MarkdownV2",
            "Hi.",
            "can't parse entities: Character '.' is reserved and must be escaped with the preceding '\\'",
        ),
        ("MarkdownV2", "a *b", "can't parse entities: Can't find end of Bold entity at byte offset 2"),
        ("MarkdownV2", "_a", "can't parse entities: Can't find end of Italic entity at byte offset 0"),
        (
            "Markdown",
            "snake_case",
            "can't parse entities: Can't find end of the entity starting at byte offset 5",
        ),
        ("BBCode", "x", "unsupported parse_mode"),
    ],
)
def test_what_does_not_parse_is_refused_in_telegrams_words(mode: str, text: str, words: str) -> None:
    with pytest.raises(MarkupError) as raised:
        parse(text, mode)
    assert str(raised.value) == words


@given(st.text().map(str.strip))
def test_escaped_text_comes_back_as_it_was(text: str) -> None:
    assert parse(escape_markdown(text, version=2), "MarkdownV2")[0] == text
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert parse(escaped, "HTML")[0] == text


@given(
    st.text(alphabet="_*[]()~`>#+-=|{}.!\\<>/&;bia \n\"'x😀"),
    st.sampled_from(["HTML", "MarkdownV2", "Markdown"]),
)
def test_any_text_parses_or_is_refused(text: str, mode: str) -> None:
    try:
        plain, entities = parse(text, mode)
    except MarkupError:
        return
    for entity in entities:
        assert entity["offset"] >= 0
        assert 0 < entity["length"] <= len(plain.encode("utf-16-le", "surrogatepass")) // 2 - entity["offset"]


def test_links_carry_their_address() -> None:
    _, entities = parse('<a href="https://e.org/?a=1&amp;b=2">x</a>', "HTML")
    assert entities[0]["url"] == "https://e.org/?a=1&b=2"
    _, entities = parse("[x](tg://user?id=42)", "MarkdownV2")
    assert User.de_json(entities[0]["user"], None).id == 42
