"""Warnings for the operator, each said once in a process's life.

Runs in: worker.
"""

from bot_worker.runtime.ports import Channel
from brama.messages import Notice
from brama.redaction import redact


class Notices:
    """Sends a Notice the first time its code comes up."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._said: set[str] = set()

    def say(self, code: str, text: str) -> None:
        """Warn with ``text``, one line, unless ``code`` was said before."""
        if code not in self._said:
            self._said.add(code)
            self._channel.send(Notice(code, redact(text)))
