"""What the master and a job worker say to each other, in frames that hold one message each.

The two may be of different versions for as long as a hot restart takes: fields are added at the end, with
defaults.

Runs in: master | job worker.
"""

import msgspec

from brama.errors import ProtocolError

#: Between two beats, in seconds.
BEAT_S = 5.0


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Base of all messages: immutable, an array on the wire, tagged with its class's name."""


class Terms(_Message, frozen=True):
    """The first frame of every pipe: JSON with all that a worker needs to know, secrets included."""

    document: bytes


class Beat(_Message, frozen=True):
    """The worker lives and takes jobs. Counters are of this process; the lag of its event loop is in ms."""

    active: int
    completed: int
    failed: int
    loop_lag_ms: float


class Serving(_Message, frozen=True):
    """The queues that the worker takes jobs of, said once."""

    queues: list[str]


class Ending(_Message, frozen=True):
    """Why the worker is about to end by itself; ``detail`` is one line."""

    detail: str


FromJobWorker = Serving | Beat | Ending

_encode = msgspec.msgpack.Encoder().encode
_from_worker: msgspec.msgpack.Decoder[FromJobWorker] = msgspec.msgpack.Decoder(FromJobWorker)
_terms = msgspec.msgpack.Decoder(Terms)


def encode_job_message(message: Terms | FromJobWorker) -> bytes:
    """Return the body of one frame."""
    return _encode(message)


def decode_from_job_worker(body: bytes) -> FromJobWorker:
    """Return the message of a frame that a worker sent.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return _from_worker.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a message of a job worker: {error}") from None


def decode_terms(body: bytes) -> Terms:
    """Return the terms in a frame that a master sent.

    Raises:
        ProtocolError: there are none.
    """
    try:
        return _terms.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not the terms of a job worker: {error}") from None
