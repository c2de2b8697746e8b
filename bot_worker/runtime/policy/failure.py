"""What a handler's exception means for a retry: reads exceptions, touches nothing.

python-telegram-bot makes BadRequest and TimedOut kinds of NetworkError, so types are compared exactly.

Runs in: worker.
"""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
from telegram.error import NetworkError, RetryAfter, TimedOut

from brama.messages import Failed
from brama.redaction import redact

#: Characters of an exception's text, and of its stack (the end of it, where the cause stands).
MAX_DETAIL_CHARACTERS = 500
MAX_TRACEBACK_CHARACTERS = 8000

#: httpx raises these before it has written a byte of the request.
_BEFORE_SEND = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that no error handler took, reduced to what the master is told."""

    error: str
    detail: str
    traceback: str
    retry_after_s: float | None
    before_send: bool

    @property
    def is_retryable(self) -> bool:
        """Whether the master may have the update tried again by itself."""
        return self.retry_after_s is not None or self.before_send

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Return what ``error`` says, secrets hidden."""
        kind = type(error)
        return cls(
            error=qualified_name(kind),
            detail=redact(_text_of(error))[:MAX_DETAIL_CHARACTERS],
            traceback=redact(_stack_of(error))[-MAX_TRACEBACK_CHARACTERS:],
            retry_after_s=_retry_after_s(error),
            before_send=_failed_before_send(error),
        )

    def message(self, seq: int, *, wrote: bool) -> Failed:
        """Return the message for row ``seq``; ``wrote``: a Bot API call of this update changed something."""
        return Failed(
            seq, self.error, self.detail, self.traceback, self.retry_after_s, self.before_send, wrote
        )


def qualified_name(kind: type) -> str:
    """Return a class's name with its module, without the module for builtins and scripts."""
    module = kind.__module__
    return kind.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{kind.__qualname__}"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what it was raised from, outermost first."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _retry_after_s(error: BaseException) -> float | None:
    return error._retry_after.total_seconds() if isinstance(error, RetryAfter) else None


def _failed_before_send(error: BaseException) -> bool:
    return any(
        type(each) in (NetworkError, TimedOut) and type(each.__cause__) in _BEFORE_SEND
        for each in causes(error)
    )


def _text_of(error: BaseException) -> str:
    """Return ``str(error)``; bot code can define an exception whose text raises."""
    try:
        return str(error)
    except Exception as other:
        return f"<its text raised {type(other).__name__}>"


def _stack_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return "".join(traceback.format_tb(error.__traceback__))
