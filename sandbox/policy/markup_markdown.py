"""The parse modes MarkdownV2 and Markdown."""

from dataclasses import dataclass
from typing import Any

from sandbox.policy.markup_text import MarkupError, Piece, byte_offset, cannot_parse, link

RESERVED = "_*[]()~`>#+-=|{}.!"
#: Mark -> kind, and the name Telegram's complaints give it; longer marks first.
MARKS = (
    ("```", "pre", "Pre"),
    ("__", "underline", "Underline"),
    ("||", "spoiler", "Spoiler"),
    ("![", "custom_emoji", "CustomEmoji"),
    ("_", "italic", "Italic"),
    ("*", "bold", "Bold"),
    ("~", "strikethrough", "Strikethrough"),
    ("`", "code", "Code"),
    ("[", "text_link", "TextUrl"),
)
CLOSING = {"![": "]", "[": "]"}


@dataclass(slots=True)
class _Open:
    mark: str
    kind: str
    name: str
    at: int
    start: int
    extra: dict[str, Any]


class _MarkdownV2:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain: list[str] = []
        self.pieces: list[Piece] = []
        self.opened: list[_Open] = []
        self.position = 0
        self.quote_start: int | None = None

    def run(self) -> tuple[str, list[Piece]]:
        text = self.text
        while self.position < len(text):
            character = text[self.position]
            following = text[self.position + 1 : self.position + 2]
            if character == "\\" and "\0" < following <= "~":
                self.plain.append(following)
                self.position += 2
            elif self._in_code():
                self._code()
            elif character == ">" and self._at_line_start():
                if self.quote_start is None:
                    self.quote_start = len(self.plain)
                self.position += 1
            elif character == "\n":
                self._line_end()
            elif character in RESERVED:
                self._mark(character)
            else:
                self._literal()
        if self.opened:
            last = self.opened[-1]
            raise cannot_parse(f"Can't find end of {last.name} entity at byte offset {last.at}")
        self._end_quote()
        return "".join(self.plain), self.pieces

    def _literal(self) -> None:
        self.plain.append(self.text[self.position])
        self.position += 1

    def _in_code(self) -> bool:
        return bool(self.opened) and self.opened[-1].kind in ("code", "pre")

    def _at_line_start(self) -> bool:
        return not self.plain or self.plain[-1] == "\n"

    def _code(self) -> None:
        mark = self.opened[-1].mark
        if self.text.startswith(mark, self.position):
            self.position += len(mark)
            self._close()
        elif self.text[self.position] == "`":
            raise self._reserved("`")
        else:
            self._literal()

    def _line_end(self) -> None:
        if self.quote_start is not None and self.text[self.position + 1 : self.position + 2] != ">":
            self._end_quote()
        self._literal()

    def _end_quote(self) -> None:
        if self.quote_start is not None:
            self.pieces.append(Piece("blockquote", self.quote_start, len(self.plain)))
            self.quote_start = None

    def _mark(self, character: str) -> None:
        text, position = self.text, self.position
        if self.opened:
            top = self.opened[-1]
            closing = CLOSING.get(top.mark, top.mark)
            # "__" ends an underline even where "_" could end an italic: the longer mark wins.
            longer = closing == "_" and text.startswith("__", position)
            if text.startswith(closing, position) and not longer:
                self.position += len(closing)
                self._close()
                return
        for mark, kind, name in MARKS:
            if text.startswith(mark, position):
                self.opened.append(_Open(mark, kind, name, byte_offset(text, position), len(self.plain), {}))
                self.position += len(mark)
                if kind == "pre":
                    self._language()
                return
        raise self._reserved(character)

    def _reserved(self, character: str) -> MarkupError:
        return cannot_parse(
            f"Character '{character}' is reserved and must be escaped with the preceding '\\'"
        )

    def _language(self) -> None:
        end = self.position
        while end < len(self.text) and not self.text[end].isspace() and self.text[end] != "`":
            end += 1
        if end < len(self.text) and self.text[end] != "`":
            if end > self.position:
                self.opened[-1].extra = {"language": self.text[self.position : end]}
            self.position = end + (self.text[end] == "\n")

    def _close(self) -> None:
        opened = self.opened.pop()
        end = len(self.plain)
        if opened.kind == "pre" and end > opened.start and self.plain[-1] == "\n":
            end -= 1
        piece: Piece | None = Piece(opened.kind, opened.start, end, opened.extra)
        if opened.kind in ("text_link", "custom_emoji"):
            url = self._url("".join(self.plain[opened.start :]))
            if opened.kind == "custom_emoji":
                piece = Piece(opened.kind, opened.start, end, {"custom_emoji_id": url.rpartition("=")[2]})
            else:
                piece = link(url, opened.kind, opened.start, end)
        if piece is not None:
            self.pieces.append(piece)

    def _url(self, inside: str) -> str:
        text = self.text
        if text[self.position : self.position + 1] != "(":
            return inside
        url: list[str] = []
        position = self.position + 1
        while position < len(text) and text[position] != ")":
            position += text[position] == "\\" and position + 1 < len(text)
            url.append(text[position])
            position += 1
        if position == len(text):
            raise cannot_parse(f"Can't find end of a URL at byte offset {byte_offset(text, self.position)}")
        self.position = position + 1
        return "".join(url)


def parse_markdown_v2(text: str) -> tuple[str, list[Piece]]:
    """Return the plain text of MarkdownV2 and its marked pieces.

    Raises:
        MarkupError: a reserved character is not escaped, or a mark has no end.
    """
    return _MarkdownV2(text).run()


def parse_markdown(text: str) -> tuple[str, list[Piece]]:
    """Return the plain text of the old Markdown and its marked pieces; marks do not nest.

    Raises:
        MarkupError: a mark has no end.
    """
    kinds = {"```": "pre", "`": "code", "*": "bold", "_": "italic", "[": "text_link"}
    plain = ""
    pieces: list[Piece] = []
    position = 0
    while position < len(text):
        if text[position] == "\\" and text[position + 1 : position + 2] in ("_", "*", "`", "["):
            plain += text[position + 1]
            position += 2
            continue
        mark = next((mark for mark in kinds if text.startswith(mark, position)), None)
        if mark is None:
            plain += text[position]
            position += 1
            continue
        inside = position + len(mark)
        end = text.find(CLOSING.get(mark, mark), inside)
        if end < 0:
            raise cannot_parse(
                f"Can't find end of the entity starting at byte offset {byte_offset(text, position)}"
            )
        body = text[inside:end]
        position = end + len(CLOSING.get(mark, mark))
        start = len(plain)
        plain += body
        piece: Piece | None = Piece(kinds[mark], start, len(plain))
        if mark == "[":
            url_end = text.find(")", position) if text.startswith("(", position) else -1
            piece = (
                link(text[position + 1 : url_end], "text_link", start, len(plain)) if url_end > 0 else None
            )
            position = url_end + 1 if url_end > 0 else position
        if piece is not None:
            pieces.append(piece)
    return plain, pieces
