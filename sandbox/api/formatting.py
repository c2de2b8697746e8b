"""The text of a message: its length, its entities, its parse mode."""

from typing import Any

from sandbox.api.errors import bad_request
from sandbox.api.request import Call
from sandbox.policy.entities import utf16_length
from sandbox.policy.markup import parse
from sandbox.policy.markup_text import MarkupError

MAX_TEXT = 4096
MAX_CAPTION = 1024
#: Text that is too long whatever its markup takes away; it is not even parsed.
MAX_MARKED = 1 << 16


def formatted(text: str, parse_mode: str, given: list[Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return text without its markup, and its entities; entities the bot gave itself win over its markup.

    Raises:
        ApiError: the markup does not parse.
    """
    if len(text) > MAX_MARKED:
        raise bad_request("message is too long")
    try:
        return (text, given) if given else parse(text, parse_mode)
    except MarkupError as error:
        raise bad_request(str(error)) from None


def message_text(call: Call) -> dict[str, Any]:
    """Return the ``text`` and ``entities`` of a message.

    Raises:
        ApiError: the text is empty or too long, or its markup does not parse.
    """
    text, entities = formatted(call.text("text"), call.text("parse_mode"), call.list_of("entities"))
    if not text.strip():
        raise bad_request("message text is empty")
    if utf16_length(text) > MAX_TEXT:
        raise bad_request("message is too long")
    return {"text": text, **({"entities": entities} if entities else {})}


def message_caption(call: Call) -> dict[str, Any]:
    """Return the ``caption`` and ``caption_entities`` of a message, nothing if it has none."""
    text, entities = formatted(
        call.text("caption"), call.text("parse_mode"), call.list_of("caption_entities")
    )
    if utf16_length(text) > MAX_CAPTION:
        raise bad_request("message caption is too long")
    if not text:
        return {}
    return {"caption": text, **({"caption_entities": entities} if entities else {})}
