"""What a bot's own code may ask of the job queue: hand slow work over, hear of its end.

The bot has no connection to the queue: its worker's runtime carries requests over its pipe, and results come
back through its inbox as updates of the type ``JobResult``.

Runs in: worker, or wherever a bot is developed.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from brama.config.values import parse_duration
from brama.job_terms import (
    MAX_EXTRA_BYTES,
    MAX_KEY_CHARACTERS,
    MAX_PAYLOAD_BYTES,
    MAX_PRIORITY,
    check_name,
)


@dataclass(frozen=True, slots=True)
class JobResult:
    """The end of a job that this bot enqueued: an update for a ``telegram.ext.TypeHandler``.

    Attributes:
        job_id: what ``enqueue`` returned.
        name: the job's type.
        queue: where it waited.
        ok: whether it was completed; False: it failed for good.
        result: what its handler returned, as JSON has it; None unless ``ok``.
        error: why it failed, one line; None if ``ok``.
        chat_id: the chat of the update during which it was enqueued, or of the scheduled job of the
            Application's JobQueue; None if there was none.
        user_id: the user in the same way.
        update_id: the ``update_id`` of that update, None if it was enqueued outside any. Of a job that the
            handler of another job's result enqueues, all three are that result's.
        extra: what the bot gave to ``enqueue``.
    """

    job_id: str
    name: str
    queue: str
    ok: bool
    result: Any
    error: str | None
    chat_id: int | None
    user_id: int | None
    update_id: int | None
    extra: Any


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as its author asked for it, checked; ``payload`` and ``extra`` are JSON."""

    name: str
    queue: str
    key: str | None
    payload: bytes
    priority: int
    delay_ms: int
    extra: bytes


class Transport(Protocol):
    """Who carries a request to the job queue: the runtime of a bot's worker."""

    async def enqueue(self, request: JobRequest) -> str:
        """Return the job's id once the queue has it for good."""


_transport: Transport | None = None


def use_transport(transport: Transport | None) -> None:
    """Have ``enqueue`` go through ``transport``. For the worker's runtime."""
    global _transport
    _transport = transport


async def enqueue(
    name: str,
    payload: Any = None,
    *,
    queue: str | None = None,
    key: str | None = None,
    priority: int = 0,
    delay: str | None = None,
    extra: Any = None,
) -> str:
    """Hand a job over and return its id; from then on it gets lost no more.

    Its end comes back as an update of the type ``JobResult``.

    Args:
        name: the job's type.
        payload: anything JSON can say, or a pydantic model; at most MAX_PAYLOAD_BYTES as JSON.
        queue: where its type waits, if that is not the queue of the type's own name.
        key: enqueuing the same type under the same key again returns the same id and changes nothing. By
            default the key is made of the bot, the update that is being processed, the type, and how many of
            this type were enqueued before during that update: so an update that is delivered again enqueues
            nothing twice. Outside any update no two jobs are the same.
        priority: 1 (first) up to 2097152 (last); 0, the default, goes before all of them.
        delay: it is not started before this duration, as ``30s`` or ``5m``, is over.
        extra: comes back in ``JobResult.extra``; anything JSON can say, at most MAX_EXTRA_BYTES of it.

    Raises:
        RuntimeError: no supervisor runs this bot, or the call comes from another event loop than the bot's.
        NotAcceptedError: the supervisor's jobs are off, or it could not store the job.
        TypeError: the payload or extra is nothing that JSON can say.
        ValueError: it is too large, or a name, number or duration is none.
    """
    request = JobRequest(
        name=check_name(name, "job"),
        queue=check_name(name if queue is None else queue, "queue"),
        key=None if key is None else _check_key(name, key),
        payload=_encode(name, "payload", payload, MAX_PAYLOAD_BYTES),
        priority=_check_priority(name, priority),
        delay_ms=0 if delay is None else round(parse_duration(delay) * 1000),
        extra=_encode(name, "extra", extra, MAX_EXTRA_BYTES),
    )
    if _transport is None:
        raise RuntimeError(
            f"job {name}: nobody takes jobs here; run the bot under brama-supervisor with jobs.enabled: true,"
            " or enqueue inside `async with jobs.author.connect(…)`"
        )
    return await _transport.enqueue(request)


def _check_key(name: str, key: str) -> str:
    if not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise ValueError(f"job {name}: a key of {len(key)} characters; it has 1 to {MAX_KEY_CHARACTERS}")
    return key


def _check_priority(name: str, priority: int) -> int:
    if not 0 <= priority <= MAX_PRIORITY:
        raise ValueError(f"job {name}: priority {priority} is not 0 to {MAX_PRIORITY}, 0 being the first")
    return priority


def _encode(name: str, what: str, value: Any, limit: int) -> bytes:
    """Return ``value`` as JSON in UTF-8."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    try:
        data = _dump(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"job {name}: its {what} is nothing that JSON can say: {error}") from None
    if len(data) > limit:
        raise ValueError(
            f"job {name}: its {what} has {len(data)} bytes as JSON and may have {limit}; store it elsewhere "
            f"and hand over where"
        )
    return data


def _dump(value: Any) -> bytes:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can say and UTF-8 cannot
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
