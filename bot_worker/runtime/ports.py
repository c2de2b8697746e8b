"""What the runtime knows of the outside: the worker's end of the pipe, the bot's application.

Runs in: worker.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from telegram.ext import Application

from brama.messages import FromWorker, ToWorker

#: An application of whatever context, data and job queue types; what a bot uses is its own business.
AnyApplication: TypeAlias = Application[Any, Any, Any, Any, Any, Any]


class Channel(Protocol):
    """The pipe to the master, as bot_worker.channel.Channel is; for the loop's thread only."""

    def attach(self, loop: asyncio.AbstractEventLoop, on_messages: Callable[[list[ToWorker]], None]) -> None:
        """Hand what arrives to ``on_messages`` from ``loop``; a loop attached before is left."""

    def detach(self) -> None:
        """Leave the loop."""

    def send(self, message: FromWorker) -> None:
        """Write ``message`` at the end of this turn of the loop; without a loop at once."""

    def push(self) -> None:
        """Write what was sent now, as far as the pipe takes it without blocking."""

    def send_now(self, messages: Sequence[FromWorker], timeout_s: float = 5.0) -> bool:
        """Write ``messages`` and all before them, blocking up to ``timeout_s`` seconds."""

    def flush(self, timeout_s: float) -> bool:
        """Write all that was sent, blocking up to ``timeout_s`` seconds; False if some is left."""
