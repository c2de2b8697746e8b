"""Decides how the end of a job lies in the inbox: as an update of its bot, under a number of its own.

Pure. Telegram's update_ids are not negative, so a negative one is derived from the job and its end: the same
end has the same number, and the inbox knows it when it comes again. The body is none that an earlier version
takes for an update: such a one makes it a dead letter, which can be replayed.
"""

import json
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

from brama.ids import BotId, TelegramId, UpdateId
from supervisor.updates.model import Candidate, Source

#: The ``kind`` of such an entry.
JOB_RESULT_KIND = "job_result"
#: The most that is handed to a bot; Telegram's own updates have no more.
MAX_ENTRY_BYTES = 10 * 1024 * 1024
#: Characters of an error, of which a bot sees the first line.
MAX_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class JobOrigin:
    """Who has asked for a job: it travels with the job through the queue, as JSON.

    Attributes:
        bot_id: the bot's label when it asked.
        telegram_id: its number at Telegram; with ``base_url`` it says whose result this is.
        base_url: the Bot API it lives on.
        chat_id: of the update during which it asked, as are ``user_id`` and ``update_id``; None: there was
            none.
        extra: what the bot's author gave to the job, any JSON.
    """

    bot_id: str
    telegram_id: int
    base_url: str
    chat_id: int | None = None
    user_id: int | None = None
    update_id: int | None = None
    extra: Any = None

    @property
    def source(self) -> Source:
        """Whose inbox the result goes to."""
        return Source(TelegramId(self.telegram_id), self.base_url)

    @property
    def label(self) -> BotId:
        """The bot's label when it asked."""
        return BotId(self.bot_id)


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended, for good.

    Attributes:
        attempt: the number of the attempt that ended it.
        ok: whether it was completed.
        result: of a completed job, anything JSON can say.
        error: why it failed; None if ``ok``.
        created_utc_ms: when the job was accepted, milliseconds since the epoch: a key may make another job of
            the same id once this one is forgotten.
    """

    job_id: str
    name: str
    queue: str
    attempt: int
    ok: bool
    result: Any = None
    error: str | None = None
    created_utc_ms: int = 0


def entry_of(origin: JobOrigin, end: JobEnd) -> Candidate:
    """Return the inbox's entry for the end of a job, in the lane of the chat that it belongs to."""
    raw = _body(origin, end)
    if len(raw) > MAX_ENTRY_BYTES:
        error = f"its result has {len(raw)} bytes, and a bot is handed {MAX_ENTRY_BYTES} at most"
        raw = _body(origin, replace(end, ok=False, result=None, error=error))
    return Candidate(_number(end), JOB_RESULT_KIND, _lane(origin), raw)


def _number(end: JobEnd) -> UpdateId:
    """Return a number from -2**63 to -1."""
    identity = f"{end.queue}\0{end.job_id}\0{end.created_utc_ms}\0{end.attempt}\0{end.ok}"
    digest = blake2b(identity.encode(), digest_size=8).digest()
    return UpdateId(-1 - (int.from_bytes(digest) >> 1))


def _lane(origin: JobOrigin) -> str:
    if origin.chat_id is not None:
        return f"c{origin.chat_id}"
    return "" if origin.user_id is None else f"u{origin.user_id}"


def _body(origin: JobOrigin, end: JobEnd) -> bytes:
    """Return the JSON that the worker makes a ``brama.JobResult`` of."""
    body = asdict(end)
    del body["attempt"], body["created_utc_ms"]
    body["result"] = end.result if end.ok else None
    body["error"] = None if end.ok else _first_line(end.error)
    body |= {name: getattr(origin, name) for name in ("chat_id", "user_id", "update_id", "extra")}
    return json.dumps({JOB_RESULT_KIND: body}, separators=(",", ":")).encode()


def _first_line(error: str | None) -> str:
    lines = (error or "").strip().splitlines()
    return lines[0][:MAX_ERROR_CHARACTERS] if lines else "it failed without saying why"
