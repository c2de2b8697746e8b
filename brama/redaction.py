"""Takes secrets out of text before it reaches any sink.

A bot token is recognised by its shape wherever it stands (httpx logs whole URLs at INFO); other secrets
are registered by the process that holds them.

Runs in: master | worker | sandbox.
"""

import re
from typing import Any

#: Telegram's tokens are the bot's id, a colon and 35 characters; the colon may be percent-encoded in a URL.
_TOKEN = re.compile(r"(\d+)(?::|%3[Aa])[A-Za-z0-9_-]{30,}")
_TOKEN_BYTES = re.compile(_TOKEN.pattern.encode())

#: A shorter secret would blank out ordinary words.
MIN_SECRET_CHARACTERS = 6

HIDDEN = "<hidden>"


class Redactor:
    """Replaces tokens by ``<bot id>:<hidden>`` and registered secrets by ``<hidden>``."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._pattern_bytes: re.Pattern[bytes] | None = None

    def register(self, *secrets: str) -> None:
        """Hide ``secrets`` from now on.

        Those shorter than MIN_SECRET_CHARACTERS are left alone; tokens are hidden by their shape anyway.
        """
        fresh = {
            secret
            for secret in secrets
            if len(secret) >= MIN_SECRET_CHARACTERS and _TOKEN.fullmatch(secret) is None
        }
        if fresh - self._secrets:
            self._secrets |= fresh
            joined = "|".join(re.escape(secret) for secret in sorted(self._secrets, key=len, reverse=True))
            self._pattern = re.compile(joined)
            self._pattern_bytes = re.compile(joined.encode())

    @property
    def secrets(self) -> frozenset[str]:
        """Those registered."""
        return frozenset(self._secrets)

    def text(self, text: str) -> str:
        """Return ``text`` with every secret hidden."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        return _TOKEN.sub(rf"\1:{HIDDEN}", text)

    def data(self, data: bytes) -> bytes:
        """Return ``data`` with every secret hidden."""
        if self._pattern_bytes is not None:
            data = self._pattern_bytes.sub(HIDDEN.encode(), data)
        return _TOKEN_BYTES.sub(rb"\1:" + HIDDEN.encode(), data)

    def value(self, value: Any) -> Any:
        """Return a log value with every secret in it hidden; anything but text and containers is kept."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode(errors="replace"))
            case dict():
                return {key: self.value(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(item) for item in value]
            case None | bool() | int() | float():
                return value
            case _:
                return self.text(str(value))


_process_redactor = Redactor()


def register_secrets(*secrets: str) -> None:
    """Hide ``secrets`` in everything this process writes to a log from now on."""
    _process_redactor.register(*secrets)


def registered_secrets() -> frozenset[str]:
    """Return what this process hides, for a process of its own that is to hide the same."""
    return _process_redactor.secrets


def redact(text: str) -> str:
    """Return ``text`` with tokens and this process's registered secrets hidden."""
    return _process_redactor.text(text)


def redact_bytes(data: bytes) -> bytes:
    """Return ``data`` with tokens and this process's registered secrets hidden."""
    return _process_redactor.data(data)


def redact_value(value: Any) -> Any:
    """Return a structured log value with tokens and this process's registered secrets hidden."""
    return _process_redactor.value(value)
