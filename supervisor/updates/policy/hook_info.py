"""What a webhook should be, and what Telegram says it is.

Pure.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

#: Telegram dates errors and answers in whole seconds, and a request takes a while: within this many seconds
#: neither is the later one.
SKEW_S = 5.0
#: Telegram tries again at least every 120 s and waits 60 s for an answer: an error older than this is over.
ERROR_MEMORY_S = 300.0
#: Longest text of Telegram's that is shown.
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Hook:
    """What setWebhook is to be told; ``certificate`` is the file's content, empty for none."""

    url: str
    secret: str
    max_connections: int
    allowed_updates: tuple[str, ...]
    certificate: bytes = b""

    @property
    def fingerprint(self) -> str:
        """A digest of all of it, which tells nothing of the secret."""
        parts = (
            self.url,
            self.secret,
            str(self.max_connections),
            ",".join(sorted(self.allowed_updates)),
        )
        digest = hashlib.sha256(b"\0".join([*(part.encode() for part in parts), self.certificate]))
        return digest.hexdigest()


class Facts(msgspec.Struct, frozen=True):
    """What getWebhookInfo shows of a webhook's settings."""

    url: str = ""
    max_connections: int = 0
    allowed_updates: tuple[str, ...] = ()
    has_custom_certificate: bool = False


class Info(msgspec.Struct, frozen=True):
    """The WebhookInfo object; ``last_error_date`` is in epoch seconds."""

    url: str = ""
    has_custom_certificate: bool = False
    pending_update_count: int = 0
    max_connections: int = 0
    allowed_updates: tuple[str, ...] = ()
    last_error_date: int | None = None
    last_error_message: str = ""

    @property
    def facts(self) -> Facts:
        """Its settings, in an order that does not depend on Telegram's."""
        kinds = tuple(sorted(self.allowed_updates))
        return Facts(self.url, self.max_connections, kinds, self.has_custom_certificate)


class Record(msgspec.Struct, frozen=True):
    """What is kept on disk of a registration.

    ``facts`` is what Telegram showed of it afterwards: it may leave out kinds of updates that it does not
    know. ``asked_for`` is what the bot's script last asked for, None: all kinds.
    """

    fingerprint: str = ""
    facts: Facts = Facts()
    asked_for: tuple[str, ...] | None = None


_decode_info = msgspec.json.Decoder(Info).decode
_decode_record = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


def read_info(raw: bytes) -> Info | None:
    """Return the result of getWebhookInfo, None if it is none."""
    try:
        return _decode_info(raw)
    except msgspec.MsgspecError:
        return None


def read_record(raw: bytes | None) -> Record:
    """Return what was kept; nothing if there is nothing, or it cannot be read."""
    try:
        return Record() if raw is None else _decode_record(raw)
    except msgspec.MsgspecError:
        return Record()


def write_record(record: Record) -> bytes:
    """Return what is to be kept."""
    return _encode(record)


def error_ago_s(info: Info, now_utc: float) -> float | None:
    """Return how many seconds ago the last failure was, None for none; ``now_utc`` by Telegram's clock."""
    return None if info.last_error_date is None else max(now_utc - info.last_error_date, 0.0)


def is_unreachable(
    info: Info,
    now_utc: float,
    seen_ago_s: float | None,
    set_ago_s: float | None = None,
    up_ago_s: float | None = None,
) -> bool:
    """Return whether Telegram fails to get through to us.

    Updates wait, a delivery failed lately, and no request of the bot has come since: where one has come, it
    was our own answer that Telegram counts as a failure.

    Args:
        info: what Telegram says.
        now_utc: epoch seconds, by the clock that dates errors: Telegram's.
        seen_ago_s: seconds since the bot's last request with the right secret, None: there was none.
        set_ago_s: seconds since the webhook was set, which leaves an earlier error standing; None: not known.
        up_ago_s: seconds since the bot is listened for: before, Telegram could not but fail; None: for ever.
    """
    ago_s = error_ago_s(info, now_utc)
    if not info.pending_update_count or ago_s is None:
        return False
    if ago_s > ERROR_MEMORY_S or (set_ago_s is not None and ago_s > set_ago_s + SKEW_S):
        return False
    if up_ago_s is not None and ago_s > up_ago_s - SKEW_S:
        return False
    return seen_ago_s is None or seen_ago_s > ago_s + SKEW_S


def describe_trouble(info: Info) -> str:
    """Return what an operator reads of a webhook that Telegram cannot reach."""
    count = info.pending_update_count
    waiting = f"{count} update{'' if count == 1 else 's'} wait{'s' if count == 1 else ''} there"
    return f"Telegram cannot deliver: {shown_error(info)} ({waiting})"


def shown_error(info: Info) -> str:
    """Return Telegram's words for the last failure, cut to what fits a line."""
    return info.last_error_message[:_MAX_SHOWN] or "no reason given"


def is_refused_by_us(info: Info) -> bool:
    """Return whether our own 401 is what Telegram last failed at: it sends a secret that is not right."""
    return "401" in info.last_error_message


def kinds(asked: Sequence[str]) -> tuple[str, ...]:
    """Return kinds of updates in one order, each once."""
    return tuple(sorted(set(asked)))
