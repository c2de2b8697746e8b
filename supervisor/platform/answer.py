"""An answer of the platform's API, and what the master knows of the API itself."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from brama.errors import BramaError

_decode = msgspec.json.Decoder().decode


class UnreadableAnswerError(BramaError):
    """What came is no JSON; the text says so without showing any of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One list of bots, as the platform sent it.

    ``content`` is ``raw`` parsed. ``etag`` stands for it in later questions. ``is_cached``: it is an earlier
    one, read from disk.
    """

    raw: bytes = field(repr=False)
    content: Any = field(repr=False)
    etag: str | None
    fetched_utc: float
    is_cached: bool = False

    @property
    def bots(self) -> int:
        """How many bots it lists."""
        bots = self.content.get("bots") if isinstance(self.content, dict) else None
        return len(bots) if isinstance(bots, list) else 0


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What ``status`` shows of the platform.

    ok: the last question was answered, and the bots that run are those of that answer.
    detail: what is wrong instead, in one line; empty when all is well.
    fetched_utc: when the answer that is in use was last said to be true, in seconds of wall time; None
        without one.
    from_cache: the answer in use is from disk, and the platform has not confirmed it since.
    bots: how many bots that answer lists, those included that the file has too.
    """

    ok: bool = False
    detail: str = "not asked yet"
    fetched_utc: float | None = None
    from_cache: bool = False
    bots: int = 0


def parse(raw: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        UnreadableAnswerError: it is none.
    """
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        what = "is nested too deeply" if deep else f"of {len(raw)} bytes is not JSON in UTF-8"
        raise UnreadableAnswerError(f'the answer {what}; it must be {{"bots": [...]}}') from None
