"""Length-prefixed frames over a byte stream.

``Connection.send_bytes`` blocks the sender once a stopped receiver's buffer is full (93 KB measured on
Linux 6), so both ends of a worker's pipe are non-blocking and cut the stream themselves: four bytes of
big-endian length, then the body.

Runs in: master | worker.
"""

import struct
from collections.abc import Iterator

from brama.errors import ProtocolError

_HEADER = struct.Struct(">I")

#: One update may be 10 MB and travels with a few bytes of envelope; anything larger is a torn stream.
MAX_FRAME_BYTES = 64 * 1024 * 1024


def encode_frame(body: bytes) -> bytes:
    """Return ``body`` with its length in front.

    Raises:
        ProtocolError: ``body`` is larger than MAX_FRAME_BYTES.
    """
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}")
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream back into frames, however it was split on the way.

    Args:
        pending: what another reader of the same stream has left.
    """

    def __init__(self, pending: bytes = b"") -> None:
        self._buffer = bytearray(pending)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take the next bytes of the stream; yield each body that is complete.

        Raises:
            ProtocolError: a length is over MAX_FRAME_BYTES: the stream is torn.
        """
        self._buffer += chunk
        start = 0
        try:
            while len(self._buffer) - start >= _HEADER.size:
                (length,) = _HEADER.unpack_from(self._buffer, start)
                if length > MAX_FRAME_BYTES:
                    raise ProtocolError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
                end = start + _HEADER.size + length
                if len(self._buffer) < end:
                    break
                body = bytes(memoryview(self._buffer)[start + _HEADER.size : end])
                start = end
                yield body
        finally:
            del self._buffer[:start]

    @property
    def pending(self) -> bytes:
        """The bytes of the frame that is not complete yet."""
        return bytes(self._buffer)
