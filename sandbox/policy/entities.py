"""Finds what Telegram marks in plain text by itself: commands, mentions, hashtags, links, addresses."""

import re
from typing import Any

Entity = dict[str, Any]

_FOUND = re.compile(
    r"""
      (?P<url>\bhttps?://[^\s<>"]+)
    | (?P<email>\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
    | (?P<mention>(?<![\w@/])@[A-Za-z]\w{3,31}\b)
    | (?P<bot_command>(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/]))
    | (?P<hashtag>(?<![\w&])\#\w*[^\W\d]\w*)
    """,
    re.VERBOSE,
)


def utf16_length(text: str) -> int:
    """Return the length Telegram counts in: UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def find_entities(text: str) -> list[Entity]:
    """Return the MessageEntity objects of plain text, offsets and lengths in UTF-16 code units."""
    if not any(mark in text for mark in "/@#:"):
        return []
    return [
        {
            "type": match.lastgroup,
            "offset": utf16_length(text[: match.start()]),
            "length": utf16_length(match[0]),
        }
        for match in _FOUND.finditer(text)
    ]
