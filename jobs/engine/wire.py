"""Redis's wire format (RESP2), as far as scripts need it.

Pure.
"""

from collections.abc import Sequence
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

_ERRORS = {
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
}
_ARRAY, _BULK, _ERROR, _INTEGER, _LINE = b"*$-:+"


class IncompleteError(Exception):
    """The answer goes on in bytes that have not come yet.

    Args:
        needed: how many there must be, with those that have come, before it is of use to look again.
    """

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


def encode(command: Sequence[str | bytes | int | float]) -> bytes:
    """Return ``command`` as the server reads it."""
    parts = [b"*%d\r\n" % len(command)]
    for each in command:
        part = each if isinstance(each, bytes) else str(each).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(part), part))
    return b"".join(parts)


def decode(received: bytes | bytearray, at: int) -> tuple[Any, int]:
    """Return the answer that begins at ``at``, and where the next one begins.

    Bytes that are no UTF-8 become replacement characters. An answer that is an error is returned, not raised.

    Raises:
        IncompleteError: it goes on in bytes that have not come yet.
        ValueError: it is no RESP2.
    """
    end = received.find(b"\r\n", at)
    if end < 0:
        raise IncompleteError(len(received) + 1)
    kind, after = received[at], end + 2
    if kind == _BULK:
        stop = after + int(received[at + 1 : end])
        if stop < after:
            return None, after
        if len(received) < stop + 2:
            raise IncompleteError(stop + 2)
        return received[after:stop].decode(errors="replace"), stop + 2
    if kind == _ARRAY:
        items = []
        for _ in range(int(received[at + 1 : end])):
            item, after = decode(received, after)
            items.append(item)
        return items, after
    if kind == _INTEGER:
        return int(received[at + 1 : end]), after
    if kind not in (_LINE, _ERROR):
        raise ValueError(f"an answer of the Redis server begins with {chr(kind)!r}")
    text = received[at + 1 : end].decode(errors="replace")
    if kind == _ERROR:
        return _ERRORS.get(text.partition(" ")[0], ResponseError)(text), after
    return text, after
