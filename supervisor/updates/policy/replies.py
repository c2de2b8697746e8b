"""Reads what the Bot API answered.

Pure. Only the envelope is decoded; what is inside stays as Telegram wrote it.
"""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import msgspec

#: Longest text of somebody else's that is shown to an operator.
_MAX_SHOWN = 200

_BATCH_START = re.compile(rb'\s*\{\s*"ok"\s*:\s*true\s*,\s*"result"\s*:\s*\[')
_BATCH_END = re.compile(rb"\s*\}\s*\Z")
#: A bracket, a comma or a string; a string that is not closed ends with the bytes.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[{}\[\],]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Result:
    """The call succeeded; ``raw`` is the JSON of its result, ``date`` the server's header of that name."""

    raw: bytes
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Telegram understood and said no. ``retry_after_s`` is there where it asks for a pause."""

    code: int
    description: str
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class NoReply:
    """Somebody answered, and it was not the Bot API."""

    detail: str


class _Parameters(msgspec.Struct):
    retry_after: float | None = None


class _Envelope(msgspec.Struct):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"")
    error_code: int = 0
    description: str = ""
    parameters: _Parameters | None = None


class _Account(msgspec.Struct):
    id: int
    is_bot: bool


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_account = msgspec.json.Decoder(_Account).decode


def read_reply(
    status: int, retry_after: str | None, body: bytes, date: str | None = None
) -> Result | Refusal | NoReply:
    """Return what an HTTP answer means.

    Args:
        status: of HTTP; the body's own ``error_code`` wins over it.
        retry_after: the header, if there is one.
        body: the whole answer.
        date: the header, if there is one.
    """
    if 300 <= status < 400:
        return NoReply(f"a redirect ({status}), which is not followed; check telegram.base_url")
    try:
        envelope = _decode_envelope(body)
    except (msgspec.MsgspecError, RecursionError):
        pause_s = _seconds(retry_after)
        if status == 429 and pause_s is not None:
            return Refusal(429, "Too Many Requests", pause_s)
        return NoReply(f"status {status} and no JSON of the Bot API")
    if envelope.ok and status < 400:
        if not envelope.result:
            return NoReply(f"status {status} without a result")
        return Result(bytes(envelope.result), date)
    asked = envelope.parameters.retry_after if envelope.parameters else None
    pauses = [pause for pause in (asked, _seconds(retry_after)) if pause is not None and pause >= 0]
    description = envelope.description[:_MAX_SHOWN] or "no description"
    return Refusal(envelope.error_code or status, description, max(pauses, default=None))


def answered_at_utc(result: Result) -> float | None:
    """Return when a call was answered by the server's own clock, in epoch seconds; None if it did not say."""
    try:
        return None if result.date is None else parsedate_to_datetime(result.date).timestamp()
    except (ValueError, OverflowError):
        return None


def read_batch(result: Result) -> list[bytes] | None:
    """Return the elements of a batch as they came, or None if it is no list."""
    try:
        return [bytes(raw) for raw in _decode_batch(result.raw)]
    except (msgspec.MsgspecError, RecursionError):
        return None


def is_batch(body: bytes) -> bool:
    """Return whether ``body`` begins as a batch of updates does."""
    return _BATCH_START.match(body) is not None


def split_batch(body: bytes) -> list[bytes] | None:
    """Return the elements of a batch that does not decode, cut at its brackets and commas alone.

    What is inside of an element does not matter: any depth, any bytes. None if brackets or quotes are torn,
    so that one element cannot be told from the next.
    """
    start = _BATCH_START.match(body)
    if start is None:
        return None
    elements, depth, begin = [], 0, start.end()
    for token in _TOKEN.finditer(body, begin):
        match token.group():
            case b"{" | b"[":
                depth += 1
            case b"," if depth == 0:
                elements.append(body[begin : token.start()].strip())
                begin = token.end()
            case b"]" if depth == 0:
                if last := body[begin : token.start()].strip():
                    elements.append(last)
                is_whole = _BATCH_END.match(body, token.end()) is not None and all(elements)
                return elements if is_whole else None
            case b"}" | b"]":
                depth -= 1
    return None


def cut_single(body: bytes) -> bytes | None:
    """Return the one element of a batch whatever it is, None if what stands around it is torn."""
    start, end = _BATCH_START.match(body), re.search(rb"\]\s*\}\s*\Z", body)
    if start is None or end is None or end.start() < start.end():
        return None
    return body[start.end() : end.start()].strip() or None


def is_account(raw: bytes, telegram_id: int) -> bool:
    """Return whether the result of getMe is about the bot ``telegram_id``."""
    try:
        account = _decode_account(raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return account.is_bot and account.id == telegram_id


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isascii() and header.isdigit() else None
