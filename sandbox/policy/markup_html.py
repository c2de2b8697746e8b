"""The parse mode HTML."""

import re
from dataclasses import dataclass

from sandbox.policy.markup_text import Piece, byte_offset, cannot_parse, link

KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "a": "text_link",
    "tg-emoji": "custom_emoji",
}
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}

_REFERENCE = re.compile(r"&(?:#(?P<decimal>\d{1,7})|#x(?P<hex>[0-9a-fA-F]{1,6})|(?P<name>lt|gt|amp|quot));?")
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[^\s>/]*)(?P<attributes>(?:\"[^\"]*\"|'[^']*'|[^>\"'])*)>")
_ATTRIBUTE = re.compile(r"([\w-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")


@dataclass(frozen=True, slots=True)
class _Open:
    name: str
    at: int
    start: int
    attributes: dict[str, str]


def parse_html(text: str) -> tuple[str, list[Piece]]:
    """Return the plain text of HTML and its marked pieces.

    Raises:
        MarkupError: a tag is unknown, not closed or closed wrongly.
    """
    plain: list[str] = []
    length = 0
    pieces: list[Piece] = []
    opened: list[_Open] = []
    position = 0

    def add(added: str) -> None:
        nonlocal length
        plain.append(added)
        length += len(added)

    while position < len(text):
        character = text[position]
        if character == "&" and (reference := _REFERENCE.match(text, position)):
            add(_character(reference))
            position = reference.end()
        elif character == "<":
            tag = _TAG.match(text, position)
            at = byte_offset(text, position)
            if tag is None:
                raise cannot_parse(f"Unclosed start tag at byte offset {at}")
            position = tag.end()
            name = tag["name"].lower()
            if not tag["end"]:
                if name not in KINDS:
                    raise cannot_parse(f'Unsupported start tag "{name}" at byte offset {at}')
                opened.append(_Open(name, at, length, _attributes(tag["attributes"])))
                _check(opened[-1])
                continue
            if not opened:
                raise cannot_parse(f"Unexpected end tag at byte offset {at}")
            start = opened.pop()
            if name not in ("", start.name):
                raise cannot_parse(
                    f'Unmatched end tag at byte offset {at}, expected "</{start.name}>", found "</{name}>"'
                )
            piece = _piece(start, "".join(plain)[start.start :], length)
            if piece is not None:
                pieces.append(piece)
        else:
            add(character)
            position += 1
    if opened:
        last = opened[-1]
        raise cannot_parse(f'Can\'t find end tag corresponding to start tag "{last.name}"')
    return "".join(plain), _joined(pieces)


def _character(reference: re.Match[str]) -> str:
    if reference["name"]:
        return NAMED[reference["name"]]
    code = int(reference["decimal"]) if reference["decimal"] else int(reference["hex"], 16)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else reference[0]


def _attributes(text: str) -> dict[str, str]:
    found = _ATTRIBUTE.findall(text)
    return {
        name.lower(): _REFERENCE.sub(_character, double or single or bare)
        for name, double, single, bare in found
    }


def _check(tag: _Open) -> None:
    if tag.name == "span" and tag.attributes.get("class") != "tg-spoiler":
        raise cannot_parse(f'Tag "span" must have class "tg-spoiler" at byte offset {tag.at}')


def _piece(tag: _Open, inside: str, end: int) -> Piece | None:
    kind = KINDS[tag.name]
    match kind:
        case "text_link":
            return link(tag.attributes.get("href") or inside, kind, tag.start, end)
        case "custom_emoji":
            return Piece(kind, tag.start, end, {"custom_emoji_id": tag.attributes.get("emoji-id", "")})
        case "blockquote" if "expandable" in tag.attributes:
            return Piece("expandable_blockquote", tag.start, end)
        case "code" if tag.attributes.get("class", "").startswith("language-"):
            return Piece(
                kind, tag.start, end, {"language": tag.attributes["class"].removeprefix("language-")}
            )
        case _:
            return Piece(kind, tag.start, end)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces with ``<pre><code class="language-x">`` made one; code of its own has no language."""
    languages = {
        (piece.start, piece.end): piece.extra for piece in pieces if piece.kind == "code" and piece.extra
    }
    blocks = {(piece.start, piece.end) for piece in pieces if piece.kind == "pre"}
    joined = []
    for piece in pieces:
        place = (piece.start, piece.end)
        if piece.kind == "code" and place in blocks:
            continue
        if piece.kind == "pre" and place in languages:
            joined.append(Piece("pre", *place, languages[place]))
        elif piece.kind == "code":
            joined.append(Piece("code", *place))
        else:
            joined.append(piece)
    return joined
