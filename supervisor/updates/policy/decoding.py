"""Decodes of an update no more than intake and routing need.

Pure. A typical update takes about two microseconds; whatever msgspec declines is looked at a second time
with the json module, because that is what python-telegram-bot reads updates with: only what neither can
read is malformed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from brama.ids import UpdateId
from brama.update_kinds import UPDATE_KINDS

#: Ids above this are no SQLite integers; Telegram's own have 32 bits.
MAX_UPDATE_ID = 2**63 - 1
#: How far into a broken update its update_id is looked for. Telegram writes it first.
MAX_SCANNED_BYTES = 64 * 1024

#: Kind of an update that holds none of UPDATE_KINDS.
UNKNOWN_KIND = "unknown"

_NEW = frozenset({"message", "channel_post", "business_message", "guest_message"})
_EDITED = frozenset({"edited_message", "edited_channel_post", "edited_business_message"})
#: Kinds whose ``date`` is the moment of the event itself.
_DATED = _NEW | {"message_reaction", "message_reaction_count", "my_chat_member", "chat_member"}
_DATED |= {"chat_join_request"}
#: Kinds that the message window looks at.
WINDOWED_KINDS = frozenset({"message", "edited_message", "channel_post", "edited_channel_post"})


#: A part of an update as its own JSON.
Payload = bytes | msgspec.Raw


class MessageParts(NamedTuple):
    """What tells one message from another: for the message window. ``payload`` is the message's own JSON."""

    chat_id: int
    message_id: int
    edit_date: int | None
    payload: Payload


class Decoded(NamedTuple):
    """The parts of an update that intake needs; ``lane`` and ``sent_utc`` as in ``Candidate``.

    ``message`` is there for kinds of WINDOWED_KINDS whose chat and message ids are readable.
    """

    update_id: UpdateId
    kind: str
    lane: str
    sent_utc: int | None
    message: MessageParts | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no update: one line of why, and the update_id if one can be told."""

    reason: str
    update_id: UpdateId | None


class _Id(msgspec.Struct, gc=False):
    id: int


class _PressedMessage(msgspec.Struct, gc=False):
    chat: _Id | None = None


class _Parts(msgspec.Struct, rename={"from_": "from"}, gc=False):
    """The union of what all kinds state about where they belong."""

    chat: _Id | None = None
    from_: _Id | None = None
    user: _Id | None = None
    voter_chat: _Id | None = None
    message: _PressedMessage | None = None
    message_id: int | None = None
    date: int | None = None
    edit_date: int | None = None


class _TextOf(msgspec.Struct, rename={"from_": "from"}, gc=False):
    """Who said what; the text stays as it was escaped, since only its equality matters."""

    text: msgspec.Raw = msgspec.Raw()
    from_: _Id | None = None
    sender_chat: _Id | None = None


_KNOWN_KINDS = frozenset(UPDATE_KINDS)
_NOWHERE = _Parts()
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_integer = msgspec.json.Decoder(int).decode
_decode_parts = msgspec.json.Decoder(_Parts).decode
_decode_text = msgspec.json.Decoder(_TextOf).decode


def decode(raw: bytes) -> Decoded | Malformed:
    """Return the parts of one update, or why it is none.

    Args:
        raw: the JSON of one Update object in UTF-8, of any size.
    """
    try:
        fields = _decode_object(raw)
        update_id = _decode_integer(fields["update_id"])
        raw.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return _decode_slowly(raw)
    if not 0 <= update_id <= MAX_UPDATE_ID:
        return Malformed(f"update_id {_shown(update_id)} is out of range", None)
    kind, key = _kind_of(fields)
    if key is None:
        return Decoded(UpdateId(update_id), kind, "", None, None)
    payload = fields[key]
    try:
        parts = _decode_parts(payload)
    except (msgspec.MsgspecError, RecursionError):
        parts = _NOWHERE
    return _decoded(UpdateId(update_id), kind, parts, payload)


def sender_and_text(message: MessageParts) -> tuple[int, bytes] | None:
    """Return the sender's id and the text, as JSON, of a message that has both."""
    try:
        said = _decode_text(message.payload)
    except (msgspec.MsgspecError, RecursionError):
        return None
    sender = said.sender_chat or said.from_
    text = bytes(said.text)
    return (sender.id, text) if sender is not None and text else None


#: A bracket or a string. One that is not closed ends with the bytes, else each quote in it would be tried.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[{}\[\]]', re.DOTALL)
_VALUE = re.compile(rb"\s*:\s*(\d{1,19})(?=[\s,}])")


def scan_update_id(raw: bytes) -> UpdateId | None:
    """Return the first top-level update_id in bytes that no JSON parser takes, None if there is none.

    A number the bytes end with may be cut short, so it does not count. Only the first MAX_SCANNED_BYTES are
    looked at.
    """
    head = raw[:MAX_SCANNED_BYTES]
    depth = 0
    for token in _TOKEN.finditer(head):
        match token.group():
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case b'"update_id"' if depth == 1 and head.lstrip().startswith(b"{"):
                value = _VALUE.match(head, token.end())
                if value is not None and int(value.group(1)) <= MAX_UPDATE_ID:
                    return UpdateId(int(value.group(1)))
    return None


def _kind_of(fields: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the kind, and the key that holds the payload."""
    other = None
    for key in fields:
        if key in _KNOWN_KINDS:
            return key, key
        if key != "update_id" and other is None:
            other = key
    return UNKNOWN_KIND, other


def _decoded(update_id: UpdateId, kind: str, parts: _Parts, payload: Payload) -> Decoded:
    message = None
    if kind in WINDOWED_KINDS and parts.chat is not None and parts.message_id is not None:
        message = MessageParts(parts.chat.id, parts.message_id, parts.edit_date, payload)
    sent_utc = parts.date if kind in _DATED else parts.edit_date if kind in _EDITED else None
    return Decoded(update_id, kind, _lane(parts), sent_utc, message)


def _lane(parts: _Parts) -> str:
    chat = parts.chat or parts.voter_chat or (parts.message.chat if parts.message else None)
    if chat is not None:
        return f"c{chat.id}"
    user = parts.from_ or parts.user
    return f"u{user.id}" if user is not None else ""


def _decode_slowly(raw: bytes) -> Decoded | Malformed:
    """Decide as ``decode`` does, by what the json module makes of it."""
    try:
        update = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        return Malformed(f"invalid UTF-8 at byte {error.start}", scan_update_id(raw))
    except RecursionError:
        return Malformed("nested too deeply", scan_update_id(raw))
    except json.JSONDecodeError as error:
        return Malformed(f"not JSON: {error.msg} at character {error.pos}", scan_update_id(raw))
    except ValueError:
        return Malformed("not JSON: a number has too many digits", scan_update_id(raw))
    if not isinstance(update, dict):
        return Malformed(f"{_json_type(update)}, not an object", None)
    update_id = update.get("update_id")
    if "update_id" not in update:
        return Malformed("no update_id", None)
    if type(update_id) is not int:
        return Malformed(f"update_id is {_json_type(update_id)}, not an integer", None)
    if not 0 <= update_id <= MAX_UPDATE_ID:
        return Malformed(f"update_id {_shown(update_id)} is out of range", None)
    kind, key = _kind_of(update)
    if key is None:
        return Decoded(UpdateId(update_id), kind, "", None, None)
    try:
        parts = msgspec.convert(update[key], _Parts)
    except (msgspec.MsgspecError, RecursionError):
        parts = _NOWHERE
    return _decoded(UpdateId(update_id), kind, parts, json.dumps(update[key]).encode())


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(number: int) -> str:
    """Return ``number`` for a person, however many digits it has."""
    return str(number) if abs(number) < 10**30 else "of more than 30 digits"
