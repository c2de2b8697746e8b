"""Parse modes: HTML, MarkdownV2 and the old Markdown, with Telegram's words for what does not parse."""

from collections.abc import Callable

from sandbox.policy.entities import Entity, find_entities, utf16_length
from sandbox.policy.markup_html import parse_html
from sandbox.policy.markup_markdown import parse_markdown, parse_markdown_v2
from sandbox.policy.markup_text import MarkupError, Piece

_PARSERS: dict[str, Callable[[str], tuple[str, list[Piece]]]] = {
    "html": parse_html,
    "markdownv2": parse_markdown_v2,
    "markdown": parse_markdown,
}

#: Inside these nothing is found by itself.
OPAQUE = frozenset({"code", "pre", "text_link", "text_mention"})


def parse(text: str, parse_mode: str) -> tuple[str, list[Entity]]:
    """Return text without its markup, trimmed, and its MessageEntity objects in order.

    Args:
        parse_mode: HTML, MarkdownV2 or Markdown in any case; empty for plain text.

    Raises:
        MarkupError: the text or the mode is none; its words follow "Bad Request: ".
    """
    plain = text
    pieces: list[Piece] = []
    if parse_mode:
        parser = _PARSERS.get(parse_mode.lower())
        if parser is None:
            raise MarkupError("unsupported parse_mode")
        plain, pieces = parser(text)
    leading = len(plain) - len(plain.lstrip())
    trimmed = plain.strip()
    entities = [
        entity
        for piece in pieces
        if (entity := _entity(piece.moved(-leading, len(trimmed)), trimmed)) is not None
    ]
    return trimmed, _merged(entities, find_entities(trimmed))


def _entity(piece: Piece, text: str) -> Entity | None:
    if piece.end <= piece.start:
        return None
    return {
        "type": piece.kind,
        "offset": utf16_length(text[: piece.start]),
        "length": utf16_length(text[piece.start : piece.end]),
        **piece.extra,
    }


def _merged(marked: list[Entity], found: list[Entity]) -> list[Entity]:
    """Return both in order of place, longer ones first; what was found inside an opaque mark goes."""
    if not marked:
        return found
    opaque = [(mark["offset"], mark["offset"] + mark["length"]) for mark in marked if mark["type"] in OPAQUE]
    free = [
        entity
        for entity in found
        if not any(
            start < entity["offset"] + entity["length"] and entity["offset"] < end for start, end in opaque
        )
    ]
    return sorted([*marked, *free], key=lambda entity: (entity["offset"], -entity["length"]))
