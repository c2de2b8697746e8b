"""What the markup parsers share."""

from dataclasses import dataclass, field, replace
from typing import Any


class MarkupError(ValueError):
    """Markup that Telegram would refuse, in its words."""


def cannot_parse(reason: str) -> MarkupError:
    """Return the error of markup that does not parse."""
    return MarkupError(f"can't parse entities: {reason}")


def byte_offset(text: str, position: int) -> int:
    """Return a position as Telegram names it: in bytes of UTF-8."""
    return len(text[:position].encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A marked piece of the plain text, in characters; ``extra`` are the entity's further fields."""

    kind: str
    start: int
    end: int
    extra: dict[str, Any] = field(default_factory=dict)

    def moved(self, by: int, limit: int) -> "Piece":
        """Return the piece after the text before it was cut, held within ``limit`` characters."""
        return replace(self, start=min(max(self.start + by, 0), limit), end=min(max(self.end + by, 0), limit))


def link(url: str, kind: str, start: int, end: int) -> Piece | None:
    """Return the piece of a link; a mention of a user by id is one too, an address with a space is none."""
    user_id = url.removeprefix("tg://user?id=")
    if user_id != url and user_id.isascii() and user_id.isdigit():
        user = {"id": int(user_id), "is_bot": False, "first_name": f"User {user_id}"}
        return Piece("text_mention", start, end, {"user": user})
    if not url or any(character.isspace() for character in url):
        return None
    return Piece(kind, start, end, {"url": url if "://" in url else f"http://{url}"})
