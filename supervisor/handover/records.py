"""What a master leaves to the one that takes its place in the same process.

The next one may be of another version. Field names are a format: a field may be added with a default; a
change of meaning raises FORMAT, and two versions that differ in it cannot follow each other.

Runs in: master.
"""

import os
from collections.abc import Iterator

import msgspec

from brama.errors import ProtocolError
from supervisor.fleet.records import MemberRecord
from supervisor.job_workers.records import JobsRecord
from supervisor.updates.policy.routing import RouteRecord

FORMAT = 1


class ControlRecord(msgspec.Struct, frozen=True):
    """The control API's listeners, and what ``api`` said of the TCP one; descriptors are -1 in a draft."""

    host: str
    port: int
    unix: int = -1
    tcp: int = -1


class WebhookRecord(msgspec.Struct, frozen=True):
    """The webhook server's listener, what ``webhook`` said of it, and clients between two requests.

    A draft has no descriptors.
    """

    listen: str | None
    port: int
    listener: int = -1
    clients: tuple[int, ...] = ()

    def close(self) -> None:
        """Close all of it: nobody goes on with it."""
        for fd in (self.listener, *self.clients):
            os.close(fd)


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """All that goes on. Moments are monotonic seconds.

    Attributes:
        program: what was executed as the first master, with every link in it kept.
        started_at: the beginning of the first master.
        hot_restarts: how many there have been.
        lock: file descriptor that holds the state directory's lock.
        noted: keys of the message window with their moments.
        unsettled: numbers of acknowledged rows whose end could not be written.
        trouble: why the next master could not be executed after all.
        jobs: the job queue, None: there is none.
    """

    format: int = FORMAT
    version: str
    program: str
    config: str
    state_dir: str
    base_url: str
    is_daemon: bool
    has_table: bool
    started_at: float
    hot_restarts: int
    control: ControlRecord
    webhook: WebhookRecord | None
    bots: list[MemberRecord]
    lock: int = -1
    routes: dict[str, RouteRecord] = {}
    noted: list[tuple[bytes, float]] = []
    unsettled: list[int] = []
    trouble: str | None = None
    jobs: JobsRecord | None = None

    def descriptors(self) -> Iterator[int]:
        """Yield every file descriptor that must stay open for the next master."""
        yield from (self.lock, self.control.unix, self.control.tcp)
        if self.webhook is not None:
            yield self.webhook.listener
            yield from self.webhook.clients
        yield from (bot.process.pipe for bot in self.bots if bot.process is not None)
        if self.jobs is not None:
            yield from self.jobs.descriptors()


class Proof(msgspec.Struct, frozen=True):
    """What a master that was tried out says of itself: what it speaks, and which bots it would run.

    ``bots`` are the numbers that their tokens start with, by id.
    """

    version: str
    format: int
    protocol: int
    bots: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_handover = msgspec.msgpack.Decoder(Handover)


def encode_handover(handover: Handover) -> bytes:
    """Return ``handover`` as bytes."""
    return _encoder.encode(handover)


def decode_handover(data: bytes) -> Handover:
    """Return the handover in ``data``.

    Raises:
        ProtocolError: it is none, or one of another format.
    """
    try:
        handover = _handover.decode(data)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"what the running master leaves cannot be read: {error}") from None
    if handover.format != FORMAT:
        raise ProtocolError(
            f"the running master ({handover.version}) leaves format {handover.format} and this one reads "
            f"{FORMAT}; stop it and start this one"
        )
    return handover
