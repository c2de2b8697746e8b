"""How an attempt to have a webhook take an update ended, in Telegram's words."""

from dataclasses import dataclass

#: What a webhook that cannot be reached is said to do.
TIMED_OUT = "Connection timed out"
GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt.

    Attributes:
        error: what went wrong, as ``getWebhookInfo`` shows it; None when the webhook took the update.
        status: the HTTP status, None if there was no answer.
        retry_after_s: what the answer's ``Retry-After`` asked for, in seconds, 0 if nothing.
        kept: the connection is still open.
        content_type: of ``body``, which may hold a method to carry out.
    """

    error: str | None = None
    status: int | None = None
    retry_after_s: int = 0
    kept: bool = False
    content_type: str = ""
    body: bytes = b""


def failed(error: str) -> Outcome:
    """Return the outcome of an attempt that got no answer."""
    return Outcome(error)


def answered(
    status: int, reason: str, retry_after: str, *, kept: bool, content_type: str = "", body: bytes = b""
) -> Outcome:
    """Return the outcome of an attempt that got an answer: any 2xx takes the update, a redirect does not."""
    if 200 <= status <= 299:
        return Outcome(None, status, 0, kept, content_type, body)
    asked = retry_after.strip()
    seconds = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0
    return Outcome(f"Wrong response from the webhook: {status} {reason}".rstrip(), status, seconds, kept)
