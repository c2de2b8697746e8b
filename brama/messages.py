"""What the master, the zygote and the workers say to each other.

A frame on a worker's pipe holds one msgpack list of messages. The zygote's socket keeps message
boundaries (SOCK_SEQPACKET), so there a datagram holds one message. Structs are arrays on the wire:
a field may be added at the end, with a default, without a new protocol version.

Runs in: master | zygote | worker.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from brama.errors import ProtocolError

#: Raised when an old worker could misread a new master or the other way round.
PROTOCOL_VERSION = 2


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Base of all messages: immutable, an array on the wire, tagged with its class's name."""


# --- master to worker -------------------------------------------------------------------------


class Boot(_Message, frozen=True):
    """The first frame of every pipe: all a worker needs to become one bot, secrets included.

    ``environment`` is the worker's whole environment. ``identity`` is the JSON object that getMe
    returned, so that no network is needed before serving. ``entry`` is a script's path for kind
    ``script`` and ``package.module:function`` for kind ``app``. ``cwd`` is absolute. Limits are in
    bytes, intervals in seconds. ``marker`` names instance, bot and generation, and is what a later
    master recognises this process and its children by. ``uid`` and ``gid`` are set when
    ``isolation.uids`` is configured.
    """

    protocol: int
    bot_id: str
    generation: int
    master_pid: int
    token: str
    base_url: str
    identity: bytes
    kind: Literal["script", "app"]
    entry: str
    args: list[str]
    cwd: str
    project_root: str
    environment: dict[str, str]
    settings: dict[str, Any]
    log_path: str
    log_max_bytes: int
    marker: str
    heartbeat_interval_s: float
    memory_cap_bytes: int
    uid: int | None = None
    gid: int | None = None


class Deliver(_Message, frozen=True):
    """One update to process: its inbox row, its update_id and Telegram's own JSON bytes.

    A negative update_id, which Telegram has none of, is the result of a job; ``raw`` is our JSON then.
    """

    seq: int
    update_id: int
    raw: bytes


class SettingsChanged(_Message, frozen=True):
    """New value of the bot's ``settings``; takes effect in the running worker."""

    settings: dict[str, Any]


class HeartbeatChanged(_Message, frozen=True):
    """Beat every ``interval_s`` seconds from now on, and once now."""

    interval_s: float


class ReopenLog(_Message, frozen=True):
    """The log file was renamed: open the path anew."""


class Drain(_Message, frozen=True):
    """Start nothing new, finish what has begun, flush, give the rest back, end with exit code 0."""


class Sleep(_Message, frozen=True):
    """Drain and end if nothing would be missed; answered by Dozing or StaysAwake.

    Updates may follow it all the same. ``unsafe``: state that no persistence keeps is no reason to stay.
    """

    unsafe: bool


class Enqueued(_Message, frozen=True):
    """The queue has the worker's job number ``n`` for good, under this id."""

    n: int
    job_id: str


class NotEnqueued(_Message, frozen=True):
    """The job number ``n`` was not taken over; ``error`` is one line for the bot's author."""

    n: int
    error: str


class EnqueueAgain(_Message, frozen=True):
    """The master was replaced before it had answered these: they are to be sent once more.

    Sent to workers only that have sent them, so that no worker gets it that does not know it.
    """

    ns: list[int]


ToWorker = (
    Boot
    | Deliver
    | SettingsChanged
    | HeartbeatChanged
    | ReopenLog
    | Drain
    | Sleep
    | Enqueued
    | NotEnqueued
    | EnqueueAgain
)


# --- worker to master -------------------------------------------------------------------------


class Hello(_Message, frozen=True):
    """The worker is alive and has read its Boot; the entry point is about to be imported."""

    protocol: int
    pid: int
    generation: int


class Ready(_Message, frozen=True):
    """The bot's Application polls (as far as it knows): updates may come.

    ``allowed_updates`` is what the script asked for; None: it did not say, so all kinds.
    """

    allowed_updates: list[str] | None
    concurrent_updates: int
    persistent: bool


class Begun(_Message, frozen=True):
    """These updates are being dispatched to handlers now."""

    seqs: list[int]


class Released(_Message, frozen=True):
    """Blocking handlers and error handlers of these updates are through."""

    seqs: list[int]


class Processed(_Message, frozen=True):
    """These updates are done, their background tasks and persistence flush included: the acknowledgement."""

    seqs: list[int]


class Failed(_Message, frozen=True):
    """A handler raised and no error handler of the bot took it.

    ``error`` is the qualified class name; ``detail`` its text and ``traceback`` the stack, redacted.
    ``retry_after_s`` is set for telegram.error.RetryAfter. ``before_send``: the request failed before a
    byte was sent (connect, pool). ``wrote``: some Bot API call of this update that changes something has
    succeeded.
    """

    seq: int
    error: str
    detail: str
    traceback: str
    retry_after_s: float | None
    before_send: bool
    wrote: bool


class Returned(_Message, frozen=True):
    """A draining worker gives these back: never begun, to be delivered to the next generation."""

    seqs: list[int]


class Heartbeat(_Message, frozen=True):
    """The event loop turns. Counters are of this process since it started; sizes in bytes, lag in ms."""

    beat: int
    generation: int
    loop_lag_ms: float
    in_flight: int
    uss_bytes: int
    messages: int
    errors: int


class Dozing(_Message, frozen=True):
    """Asked to sleep, this worker is idle, all of it is saved, and it drains now."""


class StaysAwake(_Message, frozen=True):
    """Asked to sleep, this worker does not; ``reason`` is a clause such as ``2 jobs are scheduled``."""

    reason: str


class Notice(_Message, frozen=True):
    """One warning worth an operator's eye, said once for each ``code`` in a process's life."""

    code: str
    text: str


class BootFailed(_Message, frozen=True):
    """Why this worker is about to exit before it was ready; ``detail`` is one redacted line.

    import: the entry point does not import or does not exist; build: it raised; no_application: it ended
    or never polled; two_applications: it started a second one; token: Telegram rejected it; network: the
    Bot API was out of reach; config: anything else the operator must mend.
    """

    cause: Literal["import", "build", "no_application", "two_applications", "token", "network", "config"]
    detail: str


class Enqueue(_Message, frozen=True):
    """A job for the queue; answered by Enqueued or NotEnqueued, in any order.

    ``n`` counts the jobs of this process. ``payload`` and ``extra`` are JSON. The job is the same as any
    other of this bot, queue and name with this ``key``. ``chat_id``, ``user_id`` and ``update_id`` are of the
    update during which the bot asked.
    """

    n: int
    name: str
    queue: str
    key: str
    payload: bytes
    priority: int
    delay_ms: int
    chat_id: int | None
    user_id: int | None
    update_id: int | None
    extra: bytes


FromWorker = (
    Hello
    | Ready
    | Begun
    | Released
    | Processed
    | Failed
    | Returned
    | Heartbeat
    | Dozing
    | StaysAwake
    | Notice
    | BootFailed
    | Enqueue
)


# --- master and zygote ------------------------------------------------------------------------


class Fork(_Message, frozen=True):
    """Make one worker; its end of the pipe travels beside this message (SCM_RIGHTS)."""

    bot_id: str
    generation: int


class Forked(_Message, frozen=True):
    """The worker exists and is the master's child by now."""

    bot_id: str
    generation: int
    pid: int


class ForkFailed(_Message, frozen=True):
    """No worker was made; ``detail`` says why."""

    bot_id: str
    generation: int
    detail: str


class Warm(_Message, frozen=True):
    """The zygote is ready to fork. Sizes in bytes, read from /proc/self."""

    pid: int
    rss_anon_bytes: int
    data_bytes: int
    warm_up_ms: float


class Refused(_Message, frozen=True):
    """The zygote cannot be used as configured; ``detail`` names the key to change."""

    detail: str


ToZygote = Fork
FromZygote = Forked | ForkFailed | Warm | Refused

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(list[ToWorker])
_from_worker = msgspec.msgpack.Decoder(list[FromWorker])
_to_zygote: msgspec.msgpack.Decoder[ToZygote] = msgspec.msgpack.Decoder(ToZygote)
_from_zygote: msgspec.msgpack.Decoder[FromZygote] = msgspec.msgpack.Decoder(FromZygote)


def encode_messages(messages: Sequence[ToWorker] | Sequence[FromWorker]) -> bytes:
    """Return the body of one frame that holds ``messages`` in order."""
    return _encoder.encode(messages)


def decode_to_worker(body: bytes) -> list[ToWorker]:
    """Return the messages of a frame that a master sent.

    Raises:
        ProtocolError: ``body`` is no list of such messages.
    """
    try:
        return _to_worker.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a message for a worker: {error}") from None


def decode_from_worker(body: bytes) -> list[FromWorker]:
    """Return the messages of a frame that a worker sent.

    Raises:
        ProtocolError: ``body`` is no list of such messages.
    """
    try:
        return _from_worker.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a message of a worker: {error}") from None


def encode_message(message: ToZygote | FromZygote) -> bytes:
    """Return one datagram for the zygote's socket."""
    return _encoder.encode(message)


def decode_to_zygote(body: bytes) -> ToZygote:
    """Return the request in one datagram.

    Raises:
        ProtocolError: ``body`` is no such message.
    """
    try:
        return _to_zygote.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a message for the zygote: {error}") from None


def decode_from_zygote(body: bytes) -> FromZygote:
    """Return the zygote's message in one datagram.

    Raises:
        ProtocolError: ``body`` is no such message.
    """
    try:
        return _from_zygote.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a message of the zygote: {error}") from None
